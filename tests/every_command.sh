# SPDX-License-Identifier: MIT
# Every command once, for what is done to all of them (test_failing_calls.sh, test_odd_hosts.sh); to be read by a shell that has set
# octet and def (commands.def), which stands in a folder of its own then, where runs and files are. It defines each NAME OUT OLD
# COMMAND..., which begins with row "$@"; shift 3: OUT (or -: nothing) is what the command writes, over a copy of OLD, which is
# another of its kind. Then: every_command, and every_command_end HOW-MANY-WHAT.
test=$(basename "$0" .sh) octet=$(realpath "$octet") def=$(realpath "$def") fails=0
dir=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/octet-$test-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
say() { echo "$test: $*"; fails=$((fails + 1)); }
row() { name=$1 out=$2 old=$3; echo "${name% *}" >>tried; }
# what a command finds where it writes
fresh() { rm -rf $out; [ "$old" = - ] || cp -r "$old" "$out"; [ "$out" != - ] || rm -rf new; }
# unfinished files that stayed
left_over() { find . -name '*.tmp-*' -o -name '.new*'; }
bmp() { printf 'BM\0\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\050\0\0\0\050\0\0\0\001\0\030\0'; head -c 24 /dev/zero; head -c 4800 "$1"; } # 40x40
for k in ant bee; do
    mkdir -p pics/train/$k pics/test/$k
    for i in 1 2 3; do for part in train test; do bmp "$octet" >pics/$part/$k/$i.bmp; done; done
done
cp pics/test/ant/1.bmp one.bmp
d="--data folder:pics --threads 1"
train="train --model lenet $d --resize 32 --crop 32 --epochs 1 --batch 4 --save-steps 1"
"$octet" $train --out f --quiet >/dev/null && "$octet" $train --out other --seed 9 --quiet >/dev/null &&
    "$octet" ptq f $d --out p --quiet >/dev/null && "$octet" ptq other $d --out p2 --quiet >/dev/null &&
    "$octet" convert p --out p.oct8 --quiet && "$octet" convert p2 --out p2.oct8 --quiet || exit 1
"$octet" run f --input p/probe.npz --output y0.npz --quiet
"$octet" export p2.oct8 --to npz --out . --quiet >/dev/null
cp f/model.safetensors w.safetensors
mkdir out out0 grid0
"$octet" data check synth-digits --limit 50 --sheet sheet0.png --quiet >/dev/null
"$octet" export f --to onnx --name float --out . --quiet >/dev/null
"$octet" export p2.oct8 --to onnx --name p --out out0 --quiet >/dev/null && "$octet" export p2.oct8 --to c --name net --out out0 --quiet >/dev/null || exit 1
# what a run or a file is: metrics hold times, the state their length, and so do the page and the results of a grid
made() { [ "$1" = - ] || find "$1" -type f ! -name '*.result' ! -name .lock ! -name '*.out' ! -name '*.err' ! -name 'report.html' ! -name metrics.jsonl ! -name state.safetensors ! -name '*.tmp-*' ! -path '*/.new*' 2>/dev/null | sort | xargs cat 2>/dev/null | case $1 in *.html) tail -c 8 ;; *) cat ;; esac | cksum; }
said() { sed 's/"seconds"[^,}]*//g; s/"front"[^,}]*//g; s/"[a-z0-9_]*us"[^,}]*//g; s/"img_per_s"[^,}]*//g; s/ [0-9.]* img.s$//' .out; }
# what a run gives, whatever of its files has its last name yet
gives() { case $1 in grid*) set -- $1/ptq-octet-ema-w8a8-s1; [ -e $1/graph.json ] || [ -e $1/.new ] || { echo none; return; } ;; esac; if [ -d "$1" ]; then "$octet" run "$1" --input p/probe.npz --json --quiet 2>&1; else made "$1"; fi; }
every_command() {
    each train new other $train --out new --force --quiet
    each ptq new p2 ptq f $d --out new --force --quiet
    each qat new p2 qat p $d --epochs 1 --batch 4 --save-steps 1 --out new --force --quiet
    each convert new.oct8 p2.oct8 convert p --out new.oct8 --quiet
    each eval - - eval p.oct8 $d --json --quiet
    each run y.npz y0.npz run p.oct8 --input p/probe.npz --output y.npz --quiet
    each predict - - predict p one.bmp --json --quiet
    each inspect - - inspect p --quiet
    each layers - - layers p $d --json --quiet
    each verify - - verify p p.oct8 $d --quiet
    each data sheet.png sheet0.png data check synth-digits --limit 40 --seed 1 --sheet sheet.png --json --quiet # of files: test_data_check.c
    each report - - report p f p.oct8 $d --json --quiet
    each "report page" page.html - report f --out page.html --quiet
    each doctor - - doctor p $d --dry-run --json --quiet # its exit code is what it found
    each sweep - - sweep f $d --wbits 4,8 --out new --dry-run --quiet
    each "sweep grid" grid grid0 sweep f $d --wbits 8 --out grid --json --quiet
    each compare - - compare f p p.oct8 $d --json --quiet
    each import new other import w.safetensors --model lenet --size 32x32 --out new --force --quiet
    each export p.npz p2.npz export p.oct8 --to npz --out . --quiet
    each "export onnx" out/p.onnx out0/p.onnx export p.oct8 --to onnx --out out --quiet
    each "export c" out/net.c out0/net.c export p.oct8 --to c --name net --out out --quiet
    each "import onnx" new other import float.onnx --out new --force --quiet
    each bench - - bench --workload lenet --mode infer-int8 --batch 1 --dry-run
    each demo - - demo --limit 64 --json --quiet
}
# a row for each of commands.def was there
every_command_end() {
    sed -n 's/^COMMAND([A-Z]*, "\([a-z]*\)".*/\1/p' "$def" | sort >commands
    lacking=$(sort -u tried | comm -23 commands -)
    [ -z "$lacking" ] || say "commands without a row: $lacking"
    [ $fails = 0 ] && echo "$test: $* held" || echo "$test: $fails of $* failed"
    exit $((fails > 0))
}
