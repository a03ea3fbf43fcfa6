#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the public headers and writes calls of every public function: each argument in turn NULL, an extreme number, a string
that is none, an option struct with one extreme field; the others are valid objects of tests/api_world.h.

    api_fuzz.py CC SOURCE_DIR api_calls.h

A function or type that the tables below do not know fails: a new public function is fuzzed, or the build says what is missing."""
import re
import subprocess
import sys

NUMBERS = {
    'int': ['0', '-1', 'INT_MAX', 'INT_MIN'], 'int32_t': ['0', '-1', 'INT32_MAX', 'INT32_MIN'], 'int64_t': ['0', '-1', 'INT64_MAX', 'INT64_MIN'],
    'uint32_t': ['0', 'UINT32_MAX'], 'uint64_t': ['0', 'UINT64_MAX'], 'size_t': ['0', 'SIZE_MAX'], '_Bool': ['0', '1'],
    'float': ['0', '-1', 'NAN', 'INFINITY', '-INFINITY', 'FLT_MAX', '-FLT_MAX', '1e-45f'], 'double': ['0', '-1', 'NAN', 'INFINITY', '-INFINITY', 'DBL_MAX', '5e-324'],
    'uint8_t': ['0', '255'], 'char': ['0'], 'unsigned': ['0', 'UINT_MAX']}
ENUM = ['0', '-1', 'INT_MAX', 'INT_MIN']
STRINGS = ['""', '"%s%n"', 'w.long_text']
STAGES = ['w.net', 'w.fused', 'w.int8', 'w.dynamic']

# One valid object of each type (const and names of arguments aside); `room` is memory that outputs may be written to.
OBJECTS = {
    'oct_ctx *': 'w.ctx', 'oct_tape *': 'w.tape', 'oct_var *': 'w.x', 'oct_net *': 'w.prepared', 'oct_module *': 'w.module', 'oct_data *': 'w.data',
    'oct_loader *': 'w.loader', 'oct_optim *': 'w.optim', 'oct_plan *': 'w.plan', 'oct_session *': 'w.session', 'oct_sim *': 'w.sim',
    'oct_runner *': 'w.runner', 'oct_tensor *': 'f32(2, 6, 6, 4)', 'oct_graph *': 'w.prepared->graph', 'oct_quantizer *': '&w.prepared->graph->quantizers[0]', 'oct_node *': '&w.prepared->graph->nodes[1]',
    'oct_value *': '&w.prepared->graph->values[0]',
    'oct_file_info *': 'oct_file_inspect(w.ctx, "w.safetensors")', 'oct_var **': 'w.vars', 'oct_module **': 'w.modules', 'oct_tensor **': 'w.tensors',
    'oct_value **': 'w.values', 'char **': 'w.lists', 'oct_report *': 'w_report()', 'oct_named_tensor *': 'oct_net_parameters(w.net, &w.count)', 'oct_class *': 'w.classes'}
FUNCTIONS = {'oct_watch_fn': 'w_watch', 'oct_forward_fn': 'w_forward', 'oct_run_option_fn': 'w_option', 'void (*)()': 'w_line', 'oct_loss_fn': 'w_loss',
             'oct_fit_fn': 'w_progress', 'oct_c_sizes_fn': 'NULL', 'oct_log_fn': 'w_log'}
# Structs that a caller fills: each field in turn.
STRUCTS = {
    'oct_opts': '{0}', 'oct_shape': 'OCT_SHAPE(2, 6, 6, 4)', 'oct_qspec': 'oct_qspec_activation(8, false)', 'oct_attrs': 'w_attrs()', 'oct_input_desc': 'w_input()',
    'oct_dropout_key': '{1, 2, 3, 4}', 'oct_lstm_weights': 'w_lstm()', 'oct_lstm_saved': 'w_saved()', 'oct_data_opts': '{0}', 'oct_array_opts': '{.classes = 2}',
    'oct_data_source': '{.count = 8, .dtype = OCT_F32, .get = w_get}', 'oct_loader_opts': '{.batch = 2}', 'oct_conv2d_opts': '{.in = 4, .out = 4, .kernel = 3}',
    'oct_pool_opts': '{.kernel = 2}', 'oct_batch_norm_opts': '{.channels = 4}', 'oct_cross_entropy_opts': '{0}', 'oct_linear_opts': '{.in = 4, .out = 2}',
    'oct_lstm_opts': '{.in = 4, .hidden = 3}', 'oct_zoo_opts': '{1, 28, 28, 10}', 'oct_optim_opts': '{.lr = 0.1f}',
    'oct_schedule': '{.kind = OCT_SCHEDULE_COSINE, .lr = 0.1f, .total = 100, .warmup = 10, .every = 5, .milestones = {20, 40}}', 'oct_plan_opts': '{.unfused = true}',
    'oct_observer': '{.name = "own"}', 'oct_qrule': '{.scope = OCT_QSCOPE_NAME, .of = "0", .set = {.wbits = 4}}', 'oct_qconfig': '{.target = OCT_TARGET_OCTET}',
    'oct_convert_opts': '{0}', 'oct_weight_opts': '{0}', 'oct_adaround_opts': '{.iterations = 3, .rows = 16}', 'oct_import_opts': '{.model = "lenet"}', 'oct_import_onnx_opts': '{0}', 'oct_export_c_opts': '{.name = "a"}',
    'oct_data_check_opts': '{0}', 'oct_sheet_opts': '{.rows = 2, .columns = 2}', 'oct_doctor_opts': '{.data = "npz:set.npz", .n = 4, .calib = 4}', 'oct_runner_opts': '{.batch = 4}', 'oct_report_opts': '{.limit = 4}', 'oct_eval_opts': '{.batch = 4}', 'oct_fit_opts': '{.epochs = 1, .batch = 4}'}
# Strings by the argument's name; "function.argument" goes before.
TEXTS = {'where': '"here"', 'name': '"0"', 'node': '"0"', 'dir': '"run"', 'path': '"new"', 'config': '"{}"', 'word': '"adm"', 'known': '"sgd or adam"', 'spec': '"synth-digits"',
         'text': '"0:wbits=4"', 'observer': '"mse"', 'wanted': '"an image"'}
OWN = {  # function.argument: a valid value other than the type's
    'oct_doctor.run': '"run"', 'oct_diagnosis_free.d': 'NULL',
    'oct_net_tensor.name': '"0.weight"', 'oct_op_from_name.name': '"relu"', 'oct_zoo_new.name': '"lenet"', 'oct_zoo_defaults.name': '"lenet"', 'oct_zoo_net.name': '"resnet8"',
    'oct_module_tensor.path': '"0.weight"', 'oct_module_add.name': '"child"', 'oct_module_add.child': 'oct_relu_new(w.ctx)', 'oct_module_add.parent': 'oct_module_new(w.ctx, w_forward, NULL)',
    'oct_int8_load.path': '"net.oct8"', 'oct_int8_load_memory.bytes': 'w.bytes', 'oct_int8_load_memory.size': 'w.size', 'oct_model_load.path': '"net.oct8"',
    'oct_import_onnx.path': '"net.onnx"', 'oct_import_onnx_memory.bytes': 'w_onnx(NULL)', 'oct_import_onnx_memory.size': 'w_onnx_size()',
    'oct_import_torch.path': '"lenet.safetensors"', 'oct_net_load_weights.path': '"w.safetensors"', 'oct_file_inspect.path': '"w.safetensors"', 'oct_file_inspect_for.path': '"w.safetensors"',
    'oct_npz_images.path': '"x.npz"', 'oct_image_load.path': '"i.bmp"', 'oct_image_input.path': '"i.bmp"', 'oct_image_input_from.path': '"i.bmp"', 'oct_image_decode.bytes': 'w_bmp()', 'oct_image_decode.size': '54 + 2 * 8',
    'oct_qconfig_load.path': '"rules.json"', 'oct_run_save.dir': '"new_run"', 'oct_run_check.dir': '"new_run"', 'oct_data_kind.path': '"x.npz"', 'oct_run_is.path': '"run"',
    'oct_torch_layout.t': 'oct_net_tensor(w.net, "0.weight")', 'oct_torch_layout.name': '"0.weight"', 'oct_torch_layout.net': 'w.net',
    'oct_int8_bytes_free.bytes': 'w.bytes', 'oct_export_free.bytes': 'w.bytes', 'oct_onnx_open.path': '"net.onnx"', 'oct_onnx_close.file': 'oct_onnx_open(w.ctx, "net.onnx")', 'oct_onnx_expose.file': 'oct_onnx_open(w.ctx, "net.onnx")', 'oct_export_onnx.net': 'w.int8', 'oct_export_onnx_memory.net': 'w.int8', 'oct_session_new.block': 'NULL', 'oct_observer_register.observer': '{.name = "own"}',
    'oct_layers_free.rows': 'w_layers()', 'oct_data_report_free.report': 'oct_data_check(w.data, NULL, NULL)', 'oct_report_new.paths': '((const char *[]){"run"})', 'oct_classes_free.list': 'oct_classes_parse(w.ctx, "a", 1, NULL, 0, &w.count)', 'oct_classes_read.path': '"rules.json"', 'oct_layer_warnings_free.rows': 'NULL', 'oct_placements_free.rows': 'w_placements()', 'oct_eval_free.result': 'w_eval()',
    'oct_layers_sweep.rows': 'w_layers()', 'oct_layers_sweep.count': 'w.count', 'oct_lstm_cell_step.cell': 'w.cell', 'oct_lstm_cell_step.x': 'oct_input(w.tape, f32(2, 4))',
    'oct_lstm_cell_step.state': 'NULL', 'oct_functional_add.functional': 'oct_float_functional_new(w.ctx)', 'oct_functional_add_relu.functional': 'oct_float_functional_new(w.ctx)',
    'oct_functional_mul.functional': 'oct_float_functional_new(w.ctx)', 'oct_functional_cat.functional': 'oct_float_functional_new(w.ctx)',
    'oct_infer_shape.kind': 'OCT_OP_relu', 'oct_infer_shape.nin': '1', 'oct_unary_forward.kind': 'OCT_OP_sigmoid', 'oct_unary_grad.kind': 'OCT_OP_sigmoid',
    'oct_backward_from.y': 'w.x', 'oct_backward_from.dy': 'f32(2, 6, 6, 4)', 'oct_net_freeze.net': 'w.net', 'oct_net_freeze.pattern': '"*"', 'oct_net_freeze.count': 'NULL',
    'oct_backward.loss': 'oct_mse_loss(w.x, f32(2, 6, 6, 4))', 'oct_param.name': '"p"', 'oct_reshape.dims': '(int[]){36, 4}', 'oct_reshape.count': '2', 'oct_pad.pads': '(int[]){1, 1, 1, 1}',
    'oct_capture.image': 'OCT_SHAPE(6, 6, 4)', 'oct_linear.x': 'oct_input(w.tape, f32(2, 4))', 'oct_linear.w': 'oct_param(w.tape, f32(2, 4), "lw")', 'oct_linear.b': 'oct_param(w.tape, f32(2), "lb")',
    'oct_cross_entropy.logits': 'oct_input(w.tape, f32(2, 3))', 'oct_cross_entropy.labels': 's32(2)', 'oct_distill_loss.logits': 'oct_input(w.tape, f32(2, 3))', 'oct_distill_loss.teacher': 'f32(2, 3)',
    'oct_mix.a': 'oct_mse_loss(w.x, f32(2, 6, 6, 4))', 'oct_mix.b': 'oct_mse_loss(w.x, f32(2, 6, 6, 4))', 'oct_conv2d.w': 'oct_param(w.tape, f32(4, 3, 3, 4), "w")', 'oct_conv2d.b': 'oct_param(w.tape, f32(4), "b")',
    'oct_net_set_input.net': 'w.net', 'oct_fuse.net': 'w.net', 'oct_fuse_modules.net': 'w.net', 'oct_prepare.net': 'w.net', 'oct_quantize_dynamic.net': 'w.net', 'oct_quantize_weight_only.net': 'w.net',
    'oct_half.net': 'w.net', 'oct_fold.net': 'w.net', 'oct_equalize.net': 'w.net', 'oct_equalize_on.net': 'w.net', 'oct_net_renew_head.net': 'w.net', 'oct_int8_save.net': 'w.int8', 'oct_int8_save_memory.net': 'w.int8', 'oct_plan_new.net': 'w.int8', 'oct_export_c.net': 'w.int8',
    'oct_compare.int8': 'w.int8', 'oct_compare_data.int8': 'w.int8', 'oct_net_divergences.around': '2', 'oct_net_divergences.rows': '(oct_divergence *)w_room()', 'oct_net_divergences.net': 'w.searching',
    'oct_lstm.x': 'oct_input(w.tape, f32(2, 5, 4))', 'oct_lstm_cell.x': 'oct_input(w.tape, f32(2, 4))', 'oct_lstm_cell.state': 'oct_input(w.tape, f32(2, 6))',
    'oct_lstm_hidden.state': 'oct_input(w.tape, f32(2, 6))', 'oct_adaptive_avg_pool2d.out_h': '2', 'oct_adaptive_avg_pool2d.out_w': '2',
    'oct_data_share.f': '0.5', 'oct_fake_quantize.scale': 'f32(1)', 'oct_fake_quantize.zero_point': 's32(1)', 'oct_fake_quantize.qmax': '255', 'oct_fake_quantize.qmin': '0', 'oct_fake_quantize_forward.qmin': '0', 'oct_fake_quantize_grad.qmin': '0', 'oct_dropout.p': '0.5', 'oct_dropout_new.p': '0.5', 'oct_run_check.resume': '0', 'oct_reestimate_batch_norm.n': '8', 'oct_reestimate_batch_norm.net': 'w.prepared',
    'oct_clamp.least': '-1',
    'oct_data_class_counts.counts': '(int64_t *)w_room()', 'oct_module_init.m': 'w.module', 'oct_fit.net': 'w.net', 'oct_tape_watch.node': '"relu"', 'oct_nearest_word.word': '"adm"',
    'oct_npz_save.y': 'f32(2, 6, 6, 4)', 'oct_oscillation_step.net': 'w.swinging', 'oct_oscillation_damp.net': 'w.swinging', 'oct_oscillation_start.net': 'w.swinging', 'oct_optim_new.count': 'w.count',
    'oct_session_value.node': '"0"', 'oct_sim_value.node': '"0"', 'oct_runner_value.node': '"0"', 'oct_net_divergences.node': '"0"',
    'oct_data_from_memory.dtype': 'OCT_F32', 'oct_data_from_memory.shape': 'OCT_SHAPE(8, 6, 6, 4)', 'oct_slice.from': '1', 'oct_slice.to': '3', 'oct_qparams_from_range.min': '-1', 'oct_qparams_check.zero_point': '3'}
WORDS = {'scheme': 'per_tensor_affine', 'split': 'test', 'finding_kind': 'leaked', 'net_form': 'fused', 'layer_measure': 'dead', 'file_kind': 'npz',
         'cause_kind': 'outliers', 'switch': 'yes', 'method': 'lsq+', 'granularity': 'tensor', 'weight_observer': 'mse', 'weight_qmin': 'full', 'ste': 'strict', 'target': 'pow2',
         'optim_kind': 'adam', 'schedule_kind': 'step', 'oscillation_mode': 'damp', 'init': 'xavier_normal'}
OWN.update({'oct_%s_from_name.word' % enum: '"%s"' % word for enum, word in WORDS.items()})
OWN.update({'oct_augment_name.augment': '10', 'oct_value_tensor.v': '&w.net->graph->values[oct_graph_find_value(w.net->graph, "0.weight")]', 'oct_augment_from_name.words': '"crop4,flip"'})
OWN.update({'oct_image_%s.input' % f: 'w_pixels()' for f in ('load', 'decode', 'input', 'input_from')})
for gates in ('oct_lstm', 'oct_lstm_cell'):
    OWN.update({gates + '.w_ih': 'oct_param(w.tape, f32(12, 4), "wi")', gates + '.w_hh': 'oct_param(w.tape, f32(12, 3), "wh")',
                gates + '.b_ih': 'oct_param(w.tape, f32(12), "bi")', gates + '.b_hh': 'oct_param(w.tape, f32(12), "bh")'})
# Shapes of ops: argument=dims, "i" in front for s32, "u" for u8.
OPS = {
    'conv2d_forward': 'w=4,3,3,4 b=4 y=2,4,4,4', 'conv2d_grad_x': 'dy=2,4,4,4 w=4,3,3,4', 'conv2d_grad_w': 'dy=2,4,4,4 dw=4,3,3,4 db=4',
    'linear_forward': 'x=2,4 w=3,4 b=3 y=2,3', 'linear_grad_x': 'dy=2,3 w=3,4 dx=2,4', 'linear_grad_w': 'x=2,4 dy=2,3 dw=3,4 db=3',
    'batch_norm_train': 'gamma=4 beta=4 running_mean=4 running_var=4 mean=4 invstd=4', 'batch_norm_eval': 'gamma=4 beta=4 mean=4 var=4',
    'batch_norm_grad': 'gamma=4 mean=4 invstd=4 dgamma=4 dbeta=4', 'batch_norm_grad_eval': 'gamma=4 mean=4 var=4 dgamma=4 dbeta=4',
    'add_grad_broadcast': 'd=2,1,1,4', 'max_pool2d_forward': 'y=2,4,4,4 index=i2,4,4,4', 'max_pool2d_grad': 'dy=2,4,4,4 index=i2,4,4,4', 'avg_pool2d_forward': 'y=2,4,4,4',
    'avg_pool2d_grad': 'dy=2,4,4,4', 'adaptive_avg_pool2d_forward': 'y=2,2,2,4', 'adaptive_avg_pool2d_grad': 'dy=2,2,2,4', 'cross_entropy_forward': 'x=2,3 labels=i2 prob=2,3 loss=',
    'cross_entropy_grad': 'prob=2,3 labels=i2 dloss= dx=2,3', 'mse_loss_forward': 'loss=', 'mse_loss_grad': 'dloss=', 'distill_loss_forward': 'x=2,3 teacher=2,3 diff=2,3 loss=',
    'distill_loss_grad': 'diff=2,3 dloss= dx=2,3', 'cat_forward': 'y=2,6,6,8', 'cat_grad': 'dy=2,6,6,8', 'pad_forward': 'y=2,6,6,4', 'pad_grad': '', 'slice_forward': 'y=2,6,6,2',
    'slice_grad': 'dy=2,6,6,2', 'lstm_forward': 'x=2,5,4 y=2,5,3', 'lstm_grad': 'x=2,5,4 dy=2,5,3 dx=2,5,4', 'lstm_cell_forward': 'x=2,4 state=2,6 y=2,6',
    'lstm_cell_grad': 'x=2,4 state=2,6 dy=2,6 dx=2,4 dstate=2,6', 'fake_quantize_forward': 'scale=1 zero_point=i1 codes=u2,6,6,4', 'fake_quantize_grad': 'scale=1 zero_point=i1', 'minmax': 'min=1 max=1'}
for op, row in OPS.items():
    for word in row.split():
        arg, dims = word.split('=')
        make = {'i': 's32', 'u': 'u8'}.get(dims[:1], 'f32')
        OWN['oct_%s.%s' % (op, arg)] = '%s(%s)' % (make, dims.lstrip('iu').replace(',', ', ')) if dims else 'scalar()'
OWN.update({'oct_%s.saved' % f: 'w_saved_of(%s)' % t for f, t in (('lstm_forward', 5), ('lstm_grad', 5), ('lstm_cell_forward', 1), ('lstm_cell_grad', 1))})
OWN.update({'oct_lstm_forward.y': 'w.hidden', 'oct_fake_quantize_forward.qmax': '255', 'oct_fake_quantize_grad.qmax': '255', 'oct_cat_forward.count': '2', 'oct_cat.count': '2', 'oct_functional_cat.count': '2',
            'oct_cat.axis': '3', 'oct_functional_cat.axis': '3', 'oct_slice.axis': '3', 'oct_sequential_new.count': '2', 'oct_distill_loss.temperature': '2', 'oct_fuse_modules.count': '1', 'oct_cat_grad.offset': '0'})

# Numbers that say how much memory another argument has, which no function can see; or how long to work. 0 and -1 alone.
SAID = {'count', 'row_count', 'known_count', 'nin', 'size', 'around', 'class_count', 'rule_count', 'epochs', 'iterations', 'save_seconds', 'save_steps'}
SAID_OF = {'oct_data_from_memory.shape', 'oct_array_opts.target_shape', 'oct_data_from_source.source.count'}
# Valid calls that have no success to show: a NULL or a failure is their answer here.
FAILS = {'oct_var_grad', 'oct_runner_node_kernel', 'oct_runner_node_why', 'oct_ctx_warning'}
# These take an argument apart: a new world for each case.
ENDS = re.compile(r'_free$|_close$|_unref$')


def headers(cc, source):
    text = subprocess.run([cc, '-E', '-P', '-I' + source, source + '/octet.h'], check=True, capture_output=True, text=True).stdout
    text = re.sub(r'__attribute__ ?\(\(visibility\("default"\)\)\)', '@API ', text)
    text = re.sub(r'__attribute__ ?\(\((?:[^()]|\([^()]*\))*\)\)', '', text)
    return re.sub(r'\s+', ' ', text)


def split(text, sep):
    depth, piece, out = 0, '', []
    for c in text:
        depth += (c in '({[') - (c in ')}]')
        if c == sep and not depth:
            out.append(piece.strip())
            piece = ''
        else:
            piece += c
    return out + [piece.strip()] if piece.strip() else out


def declared(text):
    """(type, name, array length or None) of a parameter or field; const is dropped."""
    if '(*' in text:
        return 'void (*)()', re.search(r'\(\* ?(\w+)\)', text).group(1), None
    text = re.sub(r'\b(const|struct|enum)\b', '', text)
    m = re.fullmatch(r'(.*?[ *])(\w+) ?(?:\[([^]]*)\])?', text.strip())
    kind = re.sub(r'\s*\*\s*', '*', ' '.join(m.group(1).split()))
    return kind.replace('*', ' *', 1), m.group(2), m.group(3)


class Headers:
    def __init__(self, text):
        self.enums = set(re.findall(r'typedef enum (\w+)', text))
        self.structs = {}
        for name, body in re.findall(r'typedef struct (\w+) \{((?:[^{}]|\{[^{}]*\})*)\} \w+ ?;', text):
            fields = []
            for line in split(body, ';'):
                parts = split(line, ',') if '(' not in line else [line]
                first = declared(parts[0])
                fields.append(first)
                base = first[0].split(' *')[0]
                for more in parts[1:]:
                    fields.append(declared(base + ' ' + more))
            self.structs[name] = fields
        self.functions = []
        for d in re.findall(r'@API (.*?);', text):
            m = re.fullmatch(r'(.*?[ *])(oct_\w+) ?\((.*)\)', d.strip())
            args = [] if m.group(3).strip() == 'void' else [declared(a) for a in split(m.group(3), ',')]
            args = [(kind + ' *' if length else kind, arg, None) for kind, arg, length in args]
            self.functions.append((' '.join(m.group(1).split()), m.group(2), args))

    def numbers(self, kind, path):
        base = NUMBERS.get(kind) or (ENUM if kind in self.enums else None)
        if not base:
            return None
        parts = path.replace('[', '.').split('.')
        said = SAID & set(parts) or any(path.startswith(p) or ('.' + p + '.') in '.' + path + '.' for p in SAID_OF)
        return [v for v in base if v in ('0', '-1')] if said else base

    def field_cases(self, struct, lvalue, path):
        """(statement, words) for each extreme of each field, nested structs too."""
        out = []
        for kind, name, length in self.structs[struct]:
            here, what = '%s.%s' % (lvalue, name), '%s.%s' % (path, name)
            numbers = self.numbers(kind, what)
            if numbers:
                for i in range(1 if not length or length == '1' else 2):
                    at = '[%d]' % i if length else ''
                    cast = '(%s)' % kind if kind in self.enums else ''
                    out += [('%s%s = %s%s;' % (here, at, cast, v), '%s%s = %s' % (what, at, v)) for v in numbers]
            elif kind in self.structs and not length:
                out += self.field_cases(kind, here, what)
            elif '*' in kind or kind in FUNCTIONS or kind == 'void (*)()':
                if length is None:
                    out.append(('%s = NULL;' % here, what + ' = NULL'))
                if kind == 'char *':
                    out += [('%s = %s;' % (here, s), '%s = %s' % (what, s)) for s in STRINGS]
        return out

    def argument(self, function, kind, name):
        """(declaration, extremes): extremes are (statement, words)."""
        own = OWN.get('%s.%s' % (function, name))
        path, var = '%s.%s' % (function, name), 'a_' + name
        null = [('%s = NULL;' % var, name + ' = NULL')]
        numbers = self.numbers(kind, path)
        if numbers:
            cast = '(%s)' % kind if kind in self.enums else ''
            default = own or ('1' if name != 'lr' else '0.1f')
            return '%s %s = %s%s;' % (kind, var, cast, default), [('%s = %s%s;' % (var, cast, v), '%s = %s' % (name, v)) for v in numbers]
        if kind in FUNCTIONS:
            return ('%s %s = %s;' % (kind, var, own or FUNCTIONS[kind]), null) if '(' not in kind else ('void (*%s)(void *, const char *) = w_line;' % var, null)
        if kind == 'char *':
            default = own or TEXTS.get(name)
            if not default:
                raise SystemExit('%s: which string is valid? (TEXTS, OWN)' % path)
            return 'const char *%s = %s;' % (var, default), null + [('%s = %s;' % (var, s), '%s = %s' % (name, s)) for s in STRINGS]
        struct = kind.split(' *')[0]
        if struct in STRUCTS and kind in (struct, struct + ' *') and not (own and kind != struct and '{' not in own and not own.startswith(('w_saved', 'w_pixels'))):
            value = own or STRUCTS[struct]
            line = 'static %s s_%s; s_%s = %s;' % (struct, name, name, '(%s)%s' % (struct, value) if value[0] == '{' else value)
            cases = self.field_cases(struct, 's_' + name, path)
            cases = [(s, w.split('.', 1)[1]) for s, w in cases]
            if kind == struct:
                return line.replace('s_' + name, var), [(s.replace('s_' + name, var), w) for s, w in cases]
            cases.append(('memset(&s_%s, 0, sizeof s_%s);' % (name, name), '%s = {0}' % name))
            return '%s %s *%s = &s_%s;' % (line, struct, var, name), null + cases
        if kind in OBJECTS or own:
            cases = list(null)
            if kind == 'oct_net *':
                cases += [('%s = %s;' % (var, s), '%s = %s' % (name, s[2:])) for s in STAGES]
            if kind in ('oct_var **', 'oct_module **', 'oct_tensor **', 'oct_value **', 'char **'):
                cases.append(('%s = (void *)w.nothing;' % var, name + ' = {NULL, NULL}'))
            if kind in ('oct_class *', 'oct_named_tensor *') and not function.endswith('_free'):
                cases.append(('%s = (void *)w.nothing;' % var, name + ' = {{0}}'))
            if kind == 'oct_tensor *':
                cases += [('%s = %s;' % (var, t), '%s = %s' % (name, t)) for t in ('scalar()', 'f32(3)', 's32(2, 6, 6, 4)', 'f32(0, 6, 6, 4)')]
            if kind == 'oct_var *':
                cases.append(('%s = w.flat;' % var, name + ' = flat'))
            return '%s%s = (void *)(%s);' % (kind, var, own or OBJECTS[kind]), cases
        if kind.count('*') in (1, 2) and (struct in NUMBERS or struct in ('void', 'char') or struct in self.enums or struct in self.structs):
            return '%s%s = (void *)w_room();' % (kind, var), null
        if kind.endswith('**'):
            return '%s%s = (void *)w_room();' % (kind, var), null
        raise SystemExit('%s: no valid object of type %s is known (OBJECTS, STRUCTS, OWN)' % (path, kind))


def write(h, out):
    names, table = [], []
    for returns, name, args in h.functions:
        made = [h.argument(name, kind, arg) for kind, arg, _ in args]
        lines, words = [], ['valid arguments']
        for line, cases in made:
            lines.append('    ' + line)
        for _, cases in made:
            for statement, what in cases:
                lines.append('    if (k == %d) { %s }' % (len(words), statement))
                words.append(what)
        call = '%s(%s)' % (name, ', '.join('(void *)a_' + a if k.count('*') > 1 else 'a_' + a for k, a, _ in args))
        answer = {'oct_status': 'status', 'void': ''}.get(returns, 'value' if name in FAILS else 'pointer' if returns.endswith('*') else 'value')
        lines.append('    ' + {'status': 'answer_status(k, %s);', 'pointer': 'answer_pointer(k, %s);', 'value': '(void)%s;', '': '%s;'}[answer] % call)
        out.write('static void call_%s(int k) {\n    (void)k;\n%s\n}\n' % (name, '\n'.join(lines)))
        out.write('static const char *const words_%s[] = {%s};\n' % (name, ', '.join('"%s"' % w.replace('"', "'") for w in words)))
        moves = bool(ENDS.search(name)) or any(k in OBJECTS and k not in ('oct_ctx *', 'oct_tensor *', 'oct_class *') for k, _, _ in args)
        table.append('    {"%s", call_%s, words_%s, %d, %s},' % (name, name, name, len(words), 'true' if moves else 'false'))
        names.append(name)
    unused = [k for k in OWN if k.split('.')[0] not in names]
    if unused:
        raise SystemExit('no such function: ' + ', '.join(unused))
    out.write('static const fuzz_row rows[] = {\n%s\n};\n' % '\n'.join(table))


if __name__ == '__main__':
    compiler, folder, target = sys.argv[1:]
    with open(target, 'w') as f:
        write(Headers(headers(compiler, folder)), f)
