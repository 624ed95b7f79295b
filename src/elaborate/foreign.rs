//! Words of other frameworks, and this language's former ones: what each is here.
//!
//! A context is an operator's word, or what the messages of a recipe call it: `optimizer sgd`, `schedule`, `train`.

use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;

/// What a foreign word is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is written so: replacing the word is the fix.
    Ours(&'static str),
    /// Nothing is written so in its place. Says why, and what to do.
    Nothing(&'static str),
}

use Answer::{Nothing, Ours};

/// Contexts, words (in lower case, without underscores and dimension suffixes for statements), answer.
type Row = (&'static [&'static str], &'static [&'static str], Answer);

const ACTIVATION: Answer = Nothing("the activations are `relu`, `sigmoid` and `clamp min: 0, max: 6` (ReLU6)");
const NORMALIZATION: Answer = Nothing("the only normalization is `batchnorm`");
const INFERRED: Answer = Nothing("the width is inferred from the incoming value: leave this out");
const WEIGHTED: &[&str] = &["conv", "batchnorm", "linear"];
const POOLS: &[&str] = &["maxpool", "avgpool"];
const WINDOWS: &[&str] = &["conv", "maxpool", "avgpool"];
const OPTIMIZER: Answer = Nothing("the only optimizer is `sgd`: `optimizer sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4 }`");
const OF_OPTIMIZER: Answer =
    Nothing("it is a key of the optimizer: `optimizer sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4 }`");
const STEPS_TIMES: Answer =
    Nothing("`steps` takes the steps or epochs when the learning rate falls: `schedule steps { at: [30, 60], gamma: 0.1 }`");
const LENGTH_IS_KNOWN: Answer =
    Nothing("the schedule lasts as long as the training, which `epochs` or `steps` sets: leave this out");
const NOT_A_STATEMENT: Answer =
    Nothing("the value flows from each statement to the next: write only the operator, `conv 3x3, filters: 64`");

/// The table.
pub const TABLE: &[Row] = &[
    // operators
    (&["statement"], &["conv", "convolution", "convolutional"], Ours("conv")),
    (
        &["statement"],
        &["norm", "batchnorm", "batchnormalization", "batchnormalisation", "batchnormalize", "bn"],
        Ours("batchnorm"),
    ),
    (&["statement"], &["dense", "fc", "gemm", "innerproduct", "fullyconnected", "linear", "connected"], Ours("linear")),
    (&["statement"], &["maxpool", "maxpooling"], Ours("maxpool")),
    (&["statement"], &["avgpool", "averagepool", "averagepooling", "avgpooling"], Ours("avgpool")),
    (
        &["statement"],
        &["adaptiveavgpool", "globalavgpool", "globalaveragepool", "globalaveragepooling", "gap"],
        Ours("avgpool global"),
    ),
    (&["statement"], &["adaptivemaxpool", "globalmaxpool", "globalmaxpooling"], Ours("maxpool global")),
    (&["statement"], &["cat", "concatenate", "concat", "route"], Ours("concat")),
    (&["statement"], &["interpolate", "resize", "upsampling", "upsample"], Ours("upsample")),
    (&["statement"], &["zeropad", "zeropadding", "constantpad", "pad"], Ours("pad")),
    (&["statement"], &["clip", "hardtanh", "clamp"], Ours("clamp")),
    (&["statement"], &["relu6"], Ours("clamp min: 0, max: 6")),
    (&["statement"], &["sum", "plus", "add"], Ours("add")),
    (&["statement"], &["eltwise", "elementwise"], Nothing("elementwise operators are `add` (a sum) and `mul` (a product)")),
    (&["statement"], &["multiply", "mul"], Ours("mul")),
    (&["statement"], &["relu"], Ours("relu")),
    (&["statement"], &["sigmoid", "logistic"], Ours("sigmoid")),
    (&["statement"], &["softmax"], Ours("softmax")),
    (&["statement"], &["dropout"], Ours("dropout")),
    (&["statement"], &["flatten"], Ours("flatten")),
    (
        &["statement"],
        &[
            "leakyrelu",
            "leaky",
            "gelu",
            "silu",
            "swish",
            "mish",
            "elu",
            "selu",
            "celu",
            "prelu",
            "tanh",
            "hardswish",
            "hardsigmoid",
            "softplus",
            "activation",
        ],
        ACTIVATION,
    ),
    (
        &["statement"],
        &["layernorm", "layernormalization", "groupnorm", "instancenorm", "lrn", "localresponsenorm"],
        NORMALIZATION,
    ),
    (
        &["statement"],
        &["convtranspose", "deconv", "deconvolution", "deconvolutional", "transposedconv"],
        Nothing("there is no transposed convolution; `upsample` enlarges a feature map"),
    ),
    (
        &["statement"],
        &["depthwiseconv", "separableconv"],
        Nothing("a depthwise convolution is `conv` with as many `groups` as filters: `conv 3x3, filters: 64, groups: 64`"),
    ),
    (&["statement"], &["reshape", "view"], Nothing("`flatten` makes a feature map a vector; there is no other reshape")),
    (&["statement"], &["self", "super", "def", "class", "x", "out", "identity", "residual", "model", "nn"], NOT_A_STATEMENT),
    (&["statement"], &["return"], Nothing("a network yields its last value, and a block too: delete this line")),
    (
        &["statement"],
        &["for", "while"],
        Nothing("blocks in a row are `repeat 3 of basic` or `stage layer1: 3 of basic { filters: 64 }`"),
    ),
    (&["statement"], &["import"], Nothing("write `use std.blocks: basic` in front of the network")),
    // keys of operators
    (WINDOWS, &["kernel_size", "pool_size", "size", "window", "kernel_shape", "ksize"], Ours("kernel")),
    (&["conv"], &["out_channels", "num_output", "filter", "out", "num_filters", "out_planes", "channels"], Ours("filters")),
    (&["conv"], &["in_channels", "in_planes", "input_channels"], INFERRED),
    (&["linear"], &["in_features", "input_dim", "in_channels", "in_planes"], INFERRED),
    (&["batchnorm"], &["num_features", "channels", "in_channels"], INFERRED),
    (&["linear"], &["out_features", "units", "num_output", "classes", "num_classes", "filters"], Ours("features")),
    (WINDOWS, &["strides", "stride_size"], Ours("stride")),
    (WINDOWS, &["pad", "pads"], Ours("padding")),
    (&["conv", "maxpool"], &["dilation_rate", "dilations", "dilate"], Ours("dilation")),
    (&["conv"], &["group", "num_group", "cardinality"], Ours("groups")),
    (WEIGHTED, &["use_bias", "bias_term"], Ours("bias")),
    (
        &["conv", "linear", "batchnorm"],
        &["activation"],
        Nothing("an activation is a statement of its own, in the next line: `relu`, `sigmoid` or `clamp`"),
    ),
    (
        &["conv", "linear"],
        &["batch_normalize", "norm", "batchnorm"],
        Nothing("batch normalization is a statement of its own: `batchnorm` in the next line"),
    ),
    (&["conv"], &["padding_mode"], Nothing("write `pad` in front, with its `mode`, and `padding: 0` here")),
    (
        &["conv", "linear", "batchnorm"],
        &["input_shape", "name", "data_format"],
        Nothing("`input` states the shape and `as NAME` the name: leave this out"),
    ),
    (&["batchnorm"], &["epsilon"], Ours("eps")),
    (
        &["batchnorm"],
        &["affine", "track_running_stats", "scale", "center"],
        Nothing("`batchnorm` always scales, shifts and keeps running statistics: leave this out"),
    ),
    (POOLS, &["ceil"], Ours("ceil_mode")),
    (&["avgpool"], &["count_pad"], Ours("count_include_pad")),
    (&["avgpool"], &["to"], Ours("output_size")),
    (&["clamp"], &["low", "min_val"], Ours("min")),
    (&["clamp"], &["high", "max_val"], Ours("max")),
    (&["upsample"], &["times", "scale", "factor", "size"], Ours("scale_factor")),
    (&["dropout"], &["p", "prob", "probability"], Ours("rate")),
    (&["relu"], &["inplace"], Nothing("memory is planned by the compiler: leave this out")),
    // training
    (&["train"], &["batch_size", "minibatch"], Ours("batch")),
    (&["train"], &["clip", "grad_clip", "max_norm", "clipnorm"], Ours("clip_grad_norm")),
    (&["train"], &["broken"], Ours("on_error")),
    (&["train"], &["criterion", "loss_fn", "loss_function"], Ours("loss")),
    (&["train"], &["num_epochs", "max_epochs", "nb_epochs"], Ours("epochs")),
    (&["train"], &["max_steps", "iterations", "max_iter", "max_batches"], Ours("steps")),
    (&["train"], &["lr_scheduler", "scheduler", "lr_policy", "policy"], Ours("schedule")),
    (&["train"], &["random_seed", "manual_seed"], Ours("seed")),
    (&["train"], &["transforms", "transform", "augmentation"], Ours("augment")),
    (&["train"], &["accumulation_steps", "subdivisions", "iter_size"], Ours("accumulate")),
    (&["train"], &["drop_path", "drop_path_rate"], Ours("stochastic_depth")),
    (&["train"], &["learning_rate", "lr", "base_lr", "weight_decay", "decay", "momentum", "nesterov", "rate"], OF_OPTIMIZER),
    (
        &["train"],
        &["label_smoothing", "smoothing"],
        Nothing("it is a key of the loss: `loss cross_entropy { label_smoothing: 0.1 }`"),
    ),
    (&["optimizer"], &["adam", "adamw", "rmsprop", "adagrad", "lamb", "lars", "lion", "nadam", "adadelta"], OPTIMIZER),
    (&["optimizer"], &["SGD"], Ours("sgd")),
    (&["optimizer sgd"], &["rate", "learning_rate", "base_lr"], Ours("lr")),
    (&["optimizer sgd"], &["decay", "l2"], Ours("weight_decay")),
    (&["optimizer sgd"], &["decay_norms"], Ours("decay_norm")),
    (&["optimizer sgd"], &["decay_biases"], Ours("decay_bias")),
    (&["optimizer sgd"], &["betas", "beta1", "beta2", "eps", "amsgrad", "dampening"], OPTIMIZER),
    (&["schedule"], &["StepLR", "step"], STEPS_TIMES),
    (&["schedule"], &["MultiStepLR", "multistep"], Ours("steps")),
    (&["schedule"], &["CosineAnnealingLR", "cosine_annealing", "CosineDecay"], Ours("cosine")),
    (&["schedule"], &["ReduceLROnPlateau", "reduce_on_plateau"], Ours("plateau")),
    (&["schedule"], &["OneCycleLR", "onecycle"], Ours("one_cycle")),
    (
        &["schedule"],
        &["ExponentialLR", "exponential", "poly", "PolynomialLR", "linear"],
        Nothing("the schedules are `constant`, `steps`, `cosine`, `plateau` and `one_cycle`"),
    ),
    (&["schedule steps"], &["times", "factor", "scales"], Ours("gamma")),
    (&["schedule steps"], &["milestones", "boundaries"], Ours("at")),
    (&["schedule steps"], &["step_size"], STEPS_TIMES),
    (&["schedule plateau"], &["times", "gamma"], Ours("factor")),
    (&["schedule plateau"], &["least"], Ours("min_lr")),
    (&["schedule cosine"], &["end", "min_lr"], Ours("eta_min")),
    (&["schedule cosine", "schedule one_cycle"], &["T_max", "total_steps", "epochs"], LENGTH_IS_KNOWN),
    (&["schedule one_cycle"], &["rise"], Ours("pct_start")),
    (&["schedule one_cycle"], &["start"], Ours("div_factor")),
    (&["schedule one_cycle"], &["end"], Ours("final_div_factor")),
    (&["schedule one_cycle"], &["max_lr"], Nothing("the highest learning rate is the optimizer's `lr`: leave this out")),
    (&["warmup"], &["rate"], Ours("start_lr")),
    (&["warmup"], &["rises"], Ours("ramp")),
    (&["loss"], &["smoothing"], Ours("label_smoothing")),
    (
        &["loss"],
        &["CrossEntropyLoss", "crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"],
        Ours("cross_entropy"),
    ),
    (&["loss"], &["mse", "MSELoss", "bce", "BCELoss", "NLLLoss"], Nothing("the only loss is `cross_entropy`")),
    (&["augment"], &["random_crop", "RandomResizedCrop"], Ours("random_resized_crop")),
    (&["augment"], &["colour", "color", "ColorJitter"], Ours("color_jitter")),
    (&["augment"], &["RandomHorizontalFlip", "random_flip", "horizontal_flip", "hflip"], Nothing("write `flip: horizontal`")),
    (&["augment"], &["RandomCrop"], Nothing("write `pad: 4, crop: 32`: crops of 32 from an image padded by 4")),
    (
        &["augment"],
        &["normalize", "Normalize", "ToTensor"],
        Nothing("`preprocess` normalizes, for training too: `preprocess { mean: […], std: […] }`"),
    ),
    (&["preprocess"], &["size", "Resize"], Ours("resize")),
    (&["preprocess"], &["center_crop", "CenterCrop"], Ours("crop")),
    // stages and shortcuts
    (&["stage"], &["planes", "out_channels", "channels", "width", "num_filters"], Ours("filters")),
    (&["stage"], &["stride", "strides"], Nothing("write `map: halve`: the stage's first block then has stride 2")),
    (&["stage"], &["dilation"], Ours("dilate")),
    (&["policy"], &["conv", "conv1x1", "projection_shortcut", "downsample", "B"], Ours("projection")),
    (&["policy"], &["zero", "zeros", "zero_pad", "A"], Ours("pad")),
    (&["policy"], &["C"], Ours("projection(when: always)")),
    // the command line
    (&["command line"], &["mean"], Ours("dataset-stats")),
    (&["command line"], &["--max-pack"], Ours("--max-packed-weights")),
    (&["command line"], &["--broken"], Ours("--on-error")),
    // values
    (&["value"], &["half", "halved", "halves"], Ours("halve")),
    (&["value"], &["True"], Ours("true")),
    (&["value"], &["False"], Ours("false")),
    (&["value"], &["None"], Nothing("there is no `None`: leave the key out to get its default")),
    (
        &["value"],
        &["same", "SAME"],
        Nothing("padding is a number; an odd kernel keeps the size by default (with stride 1): leave the key out"),
    ),
    (&["value"], &["valid", "VALID"], Nothing("write `padding: 0`")),
];

/// What a word of elsewhere is in this context.
pub fn find(context: &str, word: &str) -> Option<Answer> {
    let among = |word: &str| {
        TABLE.iter().find(|(contexts, words, _)| contexts.contains(&context) && words.contains(&word)).map(|row| row.2)
    };
    if context != "statement" {
        return among(word);
    }
    let plain = word.rsplit('.').next().unwrap_or(word).to_ascii_lowercase().replace('_', "");
    let plain = plain.trim_end_matches("1d").trim_end_matches("2d").trim_end_matches("3d");
    among(plain)
}

/// The error for a word of elsewhere, where it is known. `missing` is the message where nothing here is the same.
pub(super) fn error(context: &str, word: &str, code: Code, span: Span, missing: String) -> Option<Diagnostic> {
    Some(match find(context, word)? {
        Ours(own) => Diagnostic::error(code, format!("`{word}` is written `{own}` here"), span, "another word")
            .fix(format!("write `{own}`"), span, own)
            .renamed(),
        Nothing(why) => Diagnostic::error(code, missing, span, "not known").help(why),
    })
}
