# SPDX-License-Identifier: MIT
# Part of test_cli_options.sh: commands that look at runs and files; what they stand on, and judges.
data="--data synth-digits --limit 40"
for k in 0 1 2 3 4 5 6 7 8 9; do # any bytes are pixels
    mkdir -p nums/train/$k nums/test/$k flat/$k
    for i in 1 2; do bmp "$octet" $((k * 9000 + i * 4801)) >nums/train/$k/$i.bmp; done
    bmp "$octet" $((k * 9000 + 1)) >nums/test/$k/1.bmp
    for i in 1 2 3 4 5 6 7 8; do bmp "$octet" $((k * 50000 + i * 4801)) >flat/$k/$i.bmp; done
done
o train --model lenet $data --epochs 1 --out f
o ptq f $data --out p
o ptq f $data --observer entropy --out e
o ptq f $data --target qnnpack --out q
o convert p --out p.oct8
o train --model lenet --data folder:nums --resize 32 --crop 32 --epochs 1 --out pix
o ptq pix --data folder:nums --out pp
o convert pp --out pp.oct8

base_inspect="p"
base_doctor="p --json"
base_sweep="f $data --json"
base_data="stats synth-digits --limit 40 --json"
base_layers="p $data --json"
base_predict="p.oct8 $data"
base_run="p.oct8 --input p/probe.npz"
base_verify="p q $data"
base_convert="p"
base_compare="f p $data --json"
base_report="p $data --json"
base_import="f/model.safetensors --model lenet"
base_demo="--limit 64 --json"
base_export="p.oct8 --to npz,safetensors"
photo_data="stats folder:nums --json" photo_layers="pp --data folder:nums --json" photo_predict="pp.oct8 --data folder:nums" photo_verify="pp pp.oct8 --data folder:nums --json" photo_convert=pp photo_import=$base_import
# $1 command, the rest its words; leaves .got: what it gives but for times; r: what it wrote; .err
gives() {
    c=$1
    shift
    rm -rf r
    case $c in convert | import | export | sweep) out="--out r" ;; *) out= ;; esac
    "$octet" "$c" "$@" $out >.out 2>.err </dev/null
    code=$?
    case $c$code in *0 | verify1 | doctor1) ;; # 1: a difference, a cause
        *) say "octet $c $*: $(tail -1 .err)" ;; esac
    sed -E 's/"([a-z0-9_]*_)?us":[^,}]*//g; s/"img_per_s":[^,}]*//g; s/"seconds":[^,}]*//g' .out >.got
    case $c in convert) cksum <r >>.got && "$octet" inspect r --json >>.got ;; import) cat r/graph.json r/config.json >>.got ;; export) cksum r/* >>.got ;; esac
}
refused() { "$octet" "$@" >.out 2>.err </dev/null && say "$row: $* is taken"; }

# ---- judged by hand ----
json() {
    b=$(echo "$base" | sed 's/ --json//')
    gives $c $b && ! grep -q '^{' .out || say "$row: JSON without it"
    gives $c $b --json
    case $c in predict) text .out '^{"file":.*}$' ;; *) [ "$(grep -c '^{.*}$' .out)" = "$(wc -l <.out)" ] || say "$row: a line is no object" ;; esac
}
quiet() { b=$(echo "$base" | sed 's/ --json//'); gives $c $b; [ -s .err ] || say "$row: nothing on stderr without it"; cp .got .with; gives $c $b --quiet; case $c in verify) ! grep -q next: .err ;; *) [ ! -s .err ] ;; esac || say "$row: $(cat .err)"; case $c in demo | layers | compare | report | sweep) ;; *) cmp -s .got .with ;; esac || say "$row: stdout changes"; }
dry() {
    case $c in convert | import | demo | export | sweep) to="--out r" ;; run) to="--output r.npz" ;; *) to= ;; esac
    rm -rf r r.npz
    "$octet" $c $(echo "$base" | sed 's/ --json//') $to --dry-run >.out 2>.err || say "$row: $(cat .err)"
    [ ! -e r ] && [ ! -e r.npz ] || say "$row: something was written"
    case $c in convert | import | export) ;; *) [ ! -s .out ] || say "$row: something was done: $(cat .out)" ;; esac
    refused $c nowhere --dry-run
}
seeded() { # what a set without a test part holds out is the same whatever the seed: a training at another one must not see it
    case $c in layers) b="p --json" ;; predict) b=p.oct8 ;; verify) b="p q" ;; *) b=p ;; esac
    gives $c $b --data folder:flat && mv .got .with && gives $c $b --data folder:flat --seed 5
    cmp -s .with .got || say "$row: other images"
    "$octet" $c --help | grep -A4 -e --seed >.out
    text .out 'nothing here is random'
}
named() { # ten names, not nine
    names=a,b,c,d,e,f,g,h,i
    refused $c $base --classes $names $([ $c = convert ] || [ $c = import ] && echo --out r)
    gives $c $base --classes $names,zebra
    case $c in convert | import) text .got zebra ;; esac
}
sheet() { # a picture of the samples, drawn by the seed; 40 of ten classes
    refused data check synth-digits --augment flip
    for o in "" "--augment crop4" "--augment crop4 --seed 2"; do rm -f s.png; gives data $base --sheet s.png $o; cksum <s.png >>sheets; "$octet" inspect s.png >.out 2>/dev/null; text .out 'pixels  *u1 .*, 3\]'; done
    [ "$(sort -u sheets | wc -l)" = 3 ] || say "$row: the same picture"
}
swept() { gives $c $base $extra $flags; cat r/*/config.json 2>/dev/null | grep -qF -- "$1" || say "$row: no run has $1"; }
grid() { gives sweep $base $extra $flags; [ "$(ls -d r/*-s? | wc -l)" = 2 ] || say "$row: $(ls r)"; }
resweep() { rm -rf r && "$octet" sweep $base --out r --quiet >/dev/null; "$octet" sweep $base --calib 8 --out r >/dev/null 2>&1 && say "$row: replaced without it"; "$octet" sweep $base --calib 8 --out r --force --quiet >/dev/null || say "$row: refused"; grep -q '"calib": *8' r/*/config.json || say "$row: not made again"; }
predicts() { gives predict $base --classes zz0,zz1,zz2,zz3,zz4,zz5,zz6,zz7,zz8,zz9; text .got zz; }
photo() { # a net of 32x32
    eval "b=\$photo_$c"
    case $c$1 in *resize) words="--resize 40 --crop 32" ;; importcrop) words="--crop 28" ;; *crop) words="--crop 32 --resize 36" ;; esac
    [ $c = import ] && [ $1 = resize ] && words="--resize 40"
    gives $c $b && mv .got .with && gives $c $b $words
    case $c in verify) return ;; esac # equal whatever the images are
    cmp -s .with .got && say "$row: nothing changes"
    [ $c = import ] && text .got "\"$1\": *[0-9]"
}
entropy() { gives inspect e --histogram conv1; text .got '[Kk][Ll]'; refused inspect e --histogram nolayer; }
elsewhere() { case $c in demo) gives demo $base --out there; [ -s there/model.oct8 ] && [ -s there/graph.json ] && [ -s there/report.html ] ;; *) "$octet" $c $base --out there_$c --quiet >/dev/null; [ -s there_$c ] ;; esac || say "$row: nothing there"; }
forced() { rm -rf twice && "$octet" $c $base --out twice --quiet >/dev/null; refused $c $base --out twice 2>/dev/null; "$octet" $c $base --out twice --force --quiet >/dev/null || say "$row: refused"; }
over_another() { # a file of the user's: refused, and the message names the cure, which then replaces it
    rm -rf mine mine_too && mkdir mine_too
    f=mine
    case $c in convert | report) to="--out mine" ;; run) to="--output mine" ;; data) to="--sheet mine" ;; export) f=mine_too/p.npz to="--out mine_too" ;; esac
    echo mine >$f
    refused $c $base $to
    text .err 'octet replaces what it writes itself alone; --force replaces this too'
    [ "$(cksum <$f)" = "$(echo mine | cksum)" ] || say "$row: replaced without it"
    "$octet" $c $base $to --force --quiet >/dev/null 2>.err || say "$row: $(cat .err)"
    [ "$(cksum <$f)" = "$(echo mine | cksum)" ] && say "$row: not replaced"
    [ $c = export ] || refused $c $base ${to% *} p/model.safetensors --force # what belongs to a run never is
}
of_a_set() { # images of a set, as predict has them: the largest logit is its class
    gives run p.oct8 $data
    text .out '^y float32 \[40, 10\]'
    gives run p.oct8 --data synth-digits --limit 7 --json
    text .out '"shape":\[7,10\]'
    tr ',' '\n' <.out | sed -n 's/.*"y":\[//; s/\].*//; /^-*[0-9.e-]*$/p' | tail -70 | awk '{ k = (NR - 1) % 10; if (!k || $1 > m) { m = $1; b = k } if (k == 9) print b }' >.best
    "$octet" predict p.oct8 --data synth-digits --limit 7 --json --quiet | sed 's/.*"top":\[{"class":"\([0-9]*\)".*/\1/' >.said
    [ "$(wc -l <.best)" = 7 ] && cmp -s .best .said || say "$row: $(tr '\n' ' ' <.best .said)"
    gives run p.oct8 $data --layer conv1 --split train && mv .got .train && gives run p.oct8 $data --layer conv1
    text .out '^y uint8 \[40, 6, 28, 28\]  scale'
    cmp -s .got .train && say "$row: the same images of both parts"
    refused run p.oct8
    text .err 'nothing to run it on: expected --input X.npz, or --data SPEC'
    refused run $base $data
    refused run $base --limit 3
    rm -f y.npz && "$octet" run p.oct8 $data --output y.npz --quiet >/dev/null && "$octet" inspect y.npz >.out && text .out 'y .*\[40, 10\]'
}
small() { for m in dynamic weight-only half; do gives convert f --mode $m; text .out "^mode $m  bytes [1-9]"; text .got "half\\|dynamic\\|weight\\|float16\\|int8"; cksum <r >>sums; done; [ "$(sort -u sums | wc -l)" = 3 ] || say "$row: the same file"; refused convert p --mode half --out r; }
as_floats() { gives import "$tests/golden/onnx/static_u8.onnx"; text .got '"stage": *"prepared"'; gives import "$tests/golden/onnx/static_u8.onnx" --as-floats; text .got '"stage": *"float"'; text .got '"as-floats": *true'; text .err 'are left out'; }
fitting() { refused import f/model.safetensors --model resnet8 --out r; gives import $base; }
formats() { gives export p --to safetensors && [ -s r/p.safetensors ] && [ ! -e r/p.npz ] || say "$row: other files: $(ls r)"; refused export p --to "$1" --out r; text .err 'did you mean npz'; }
called() { gives export p.oct8 --to safetensors,c --name "$1.x" && [ -s "r/$1.x.safetensors" ] && [ -s "r/${1}_x.c" ] && [ -s "r/${1}_x.h" ] || say "$row: other files: $(ls r)"; refused export p.oct8 --to c --name a/b --out r; }
written() { "$octet" run $base --output y.npz >.out 2>.err; [ -s y.npz ] || say "$row: nothing"; grep -q '^\[0' .out && say "$row: printed too"; text .out 'y.npz'; }
other_input() { "$octet" run $base >.a 2>&1; "$octet" run p.oct8 --input q/probe.npz >.b 2>&1; refused run p.oct8 --input nowhere.npz; text .a '^\[0\]'; }

# what each gives without, once for all rows without words of their own
for c in $mine; do
    eval "gives $c \$base_$c"
    mv .got base_$c.got
done

# a row that needs no judge of its own
judge() {
    case $where in differs | same) ;; *) return 1 ;; esac
    against=base_$c.got
    [ -z "$extra" ] || { gives $c $base $extra && mv .got extra.got && against=extra.got; }
    gives $c $base $extra $flags
    cmp -s .got $against
    differ=$?
    [ $where = same ] && [ $differ != 0 ] && say "$row: it changes what is given"
    [ $where = differs ] && [ $differ = 0 ] && say "$row: it changes nothing"
    [ -z "$what" ] || text .got "$what"
    return 0
}
