//! The table of foreign words: operators and keys of PyTorch, torchvision, Keras, Darknet and Caffe, and former words of ours.

use super::prelude::{self, Activation};
use Answer::{Nothing, Ours};

/// What a foreign word is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is written so: replacing the word is the fix.
    Ours(&'static str),
    /// Nothing is written so in its place. Says why, and what to do.
    Nothing(&'static str),
}

/// Contexts, words as [`plain`] writes them, answer.
pub type Row = (&'static [&'static str], &'static [&'static str], Answer);

const ACTIVATION: Answer = Nothing(
    "there is no such activation; a file declares its own: `elementwise NAME(x) = if x > 0 then x else 0.1 * x` in front of this network",
);
const EXPRESSION: Answer = Nothing("`apply` computes an expression of the current value `x`: `apply exp(x)`, `apply 1 - x`");
const NORMALIZATION: Answer = Nothing("the normalizations are `batchnorm`, `layernorm`, `groupnorm` and `instancenorm`");
const LOCAL_RESPONSE: Answer = Nothing(
    "it is a block of the library: `use std.blocks: local_response_norm` in front of the network, and `local_response_norm 5` here",
);
const INFERRED: Answer = Nothing("the width is inferred from the incoming value: leave this out");
const OPTIMIZER: Answer = Nothing("the only optimizer is `sgd`: `optimizer sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4 }`");
const OF_OPTIMIZER: Answer =
    Nothing("it is a key of the optimizer: `optimizer sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4 }`");
const SCHEDULE: Answer = Nothing("the schedules are `constant`, `steps`, `cosine`, `plateau` and `one_cycle`");
const STEPS_TIMES: Answer =
    Nothing("`steps` takes the steps or epochs when the learning rate falls: `schedule steps { at: [30, 60], gamma: 0.1 }`");
const LENGTH_IS_KNOWN: Answer =
    Nothing("the schedule lasts as long as the training, which `epochs` or `steps` sets: leave this out");
const NOT_A_STATEMENT: Answer =
    Nothing("the value flows from each statement to the next: write only the operator, `conv 3x3, filters: 64`");
const RESHAPE: Answer = Nothing(
    "`flatten` makes a feature map a vector, `reshape [64, 7, 7]` gives it other sizes, and `transpose hwc` another order",
);
const ARITHMETIC: Answer = Nothing("values are joined by `add` (a sum), `mul` (a product) and `concat`");
const IMAGES: Answer = Nothing(
    "images are prepared by `preprocess { … }`, and augmented in the recipe: `train { augment { pad: 4, crop: 32, flip: horizontal } }`",
);
const AUGMENTATION: Answer =
    Nothing("there is no such augmentation; `crop`, `random_resized_crop`, `flip`, `color_jitter`, `lighting` and `cutout` are");
const INITIALIZED: Answer = Nothing("weights are initialized by the recipe, `train { init he }`: leave this out");
const DECAYED: Answer = Nothing("weight decay is a key of the optimizer: `optimizer sgd { weight_decay: 1e-4 }`");
const UNNEEDED: Answer = Nothing("nothing corresponds to it: leave this out");
const BOTH_AXES: Answer = Nothing("a size has both axes, `3x5` (height x width), or is one number for both");
const LOSS: Answer = Nothing("a loss goes in the recipe: `train { loss cross_entropy }`");
const THREE_AXES: Answer = Nothing("an input has one axis (channels x length) or two (channels x height x width)");

const WEIGHTED: &[&str] = &["conv", "conv_transpose", "depthwise", "batchnorm", "linear"];
const POOLS: &[&str] = &["maxpool", "avgpool"];
const WINDOWS: &[&str] = &["conv", "conv_transpose", "depthwise", "maxpool", "avgpool"];

/// A word in lower case, without prefixes such as `nn.` and without underscores.
pub fn plain(word: &str) -> String {
    word.rsplit('.').next().unwrap_or(word).to_ascii_lowercase().replace('_', "")
}

/// The activation that has this name elsewhere: `nn.LeakyReLU`, `hard_swish`.
pub fn activation(word: &str) -> Option<&'static Activation> {
    let word = plain(word);
    prelude::activations().iter().find(|activation| plain(activation.name) == word)
}

/// What a word is in a context, spelled as in the table.
pub fn among(context: &str, word: &str) -> Option<Answer> {
    TABLE.iter().find(|(contexts, words, _)| contexts.contains(&context) && words.contains(&word)).map(|row| row.2)
}

/// What a statement's word of elsewhere is here.
pub fn statement(word: &str) -> Option<Answer> {
    let plain = plain(word);
    let activation = || activation(word).map(|activation| Ours(activation.name));
    among("statement", &plain).or_else(activation).or_else(|| {
        let base = plain.strip_prefix("lazy").unwrap_or(&plain);
        let base = ["1d", "2d", "3d"].iter().fold(base.to_owned(), |base, dims| base.replace(dims, ""));
        if base.ends_with("loss") {
            return Some(LOSS);
        }
        match among("statement", &base) {
            Some(Ours(_)) if plain.contains("3d") => Some(THREE_AXES),
            answer => answer,
        }
    })
}

/// The table. What is not a statement's word is in the lower case of [`plain`], too.
#[rustfmt::skip] // a row a line reads as a table
pub const TABLE: &[Row] = &[
    // ------------------------------------------------------------------------------------------------------------ operators
    (&["statement"], &["conv", "convolution", "convolutional"], Ours("conv")),
    (&["statement"], &["norm", "batchnorm", "batchnormalization", "batchnormalisation", "batchnormalize", "bn", "syncbatchnorm"], Ours("batchnorm")),
    (&["statement"], &["dense", "fc", "gemm", "innerproduct", "fullyconnected", "linear", "connected"], Ours("linear")),
    (&["statement"], &["maxpool", "maxpooling"], Ours("maxpool")),
    (&["statement"], &["avgpool", "averagepool", "averagepooling", "avgpooling"], Ours("avgpool")),
    (&["statement"], &["adaptiveavgpool", "globalavgpool", "globalaveragepool", "globalaveragepooling", "gap"], Ours("avgpool global")),
    (&["statement"], &["globalmaxpool", "globalmaxpooling"], Ours("maxpool global")),
    (&["statement"], &["adaptivemaxpool", "adaptiveaveragepooling", "adaptivemaxpooling"], Nothing("`maxpool global` and `avgpool global` pool the whole feature map; `avgpool output_size: 7` pools to a size")),
    (&["statement"], &["lppool", "fractionalmaxpool", "fractionalmaxpoolwithindices", "maxunpool", "spp", "localavgpool", "maxpoolwithindices", "adaptivemaxpoolwithindices"], Nothing("the pools are `maxpool` and `avgpool`")),
    (&["statement"], &["pooling"], Nothing("write `maxpool 2x2` or `avgpool 2x2`")),
    (&["statement"], &["cat", "concatenate", "concat", "route"], Ours("concat")),
    (&["statement"], &["interpolate", "resize", "upsampling", "upsample", "upsamplingnearest", "upsamplenearest"], Ours("upsample")),
    (&["statement"], &["upsamplingbilinear", "upsamplebilinear"], Ours("upsample bilinear")),
    (&["statement"], &["upsamplebicubic"], Ours("upsample bicubic")),
    (&["statement"], &["gridsample", "affinegrid"], Nothing("`upsample` resizes the whole feature map; there is no sampling at computed places")),
    (&["statement"], &["zeropad", "zeropadding", "constantpad", "pad"], Ours("pad")),
    (&["statement"], &["reflectionpad"], Nothing("`pad` reflects with `mode: reflect`: `pad 1, mode: reflect`, or `pad [top, bottom, left, right], mode: reflect`")),
    (&["statement"], &["replicationpad"], Nothing("`pad` repeats the border with `mode: replicate`: `pad 1, mode: replicate`, or `pad [top, bottom, left, right], mode: replicate`")),
    (&["statement"], &["circularpad"], Nothing("`pad` fills with zeros, with `mode: reflect` or with `mode: replicate`")),
    (&["statement"], &["clip", "clamp", "clipbyvalue"], Ours("clamp")),
    (&["statement"], &["sum", "plus", "add"], Ours("add")),
    (&["statement"], &["multiply", "mul"], Ours("mul")),
    (&["statement"], &["relu"], Ours("relu")),
    (&["statement"], &["sigmoid", "logistic"], Ours("sigmoid")),
    (&["statement"], &["softmax"], Ours("softmax")),
    (&["statement"], &["softmin", "logsoftmax", "gumbelsoftmax", "argmax"], Nothing("scores become probabilities by `softmax`; `resnetc run --top 5` prints the largest")),
    (&["statement"], &["dropout"], Ours("dropout")),
    (&["statement"], &["dropout1d", "dropout2d", "dropout3d", "spatialdropout1d", "spatialdropout2d", "spatialdropout3d", "alphadropout", "featurealphadropout", "gaussiandropout", "dropblock", "droppath", "stochasticdepth"], Nothing("`dropout` drops single values; whole blocks are dropped by `train { stochastic_depth 0.2 }`")),
    (&["statement"], &["flatten"], Ours("flatten")),
    (&["statement"], &["scale", "bias"], Nothing("`batchnorm` scales and shifts already: leave this out")),
    (&["statement"], &["swish"], Ours("silu")),
    (&["statement"], &["hardsilu", "hswish"], Ours("hardswish")),
    (&["statement"], &["hsigmoid"], Ours("hardsigmoid")),
    // Darknet's slope
    (&["statement"], &["leaky"], Ours("leaky_relu negative_slope: 0.1")),
    (&["statement"], &["absval", "abs", "exp", "log", "power", "pow", "square", "sqrt", "neg", "negative", "erf", "floor", "expm1", "log1p", "reciprocal", "lambda"], EXPRESSION),
    (&["statement"], &["rrelu", "threshold", "activation", "thresholdedrelu", "bnll", "relie", "hardtan", "lhtan", "plse", "ramp", "loggy", "stair", "squareplus", "sparseplus", "sparsesigmoid", "normalizechan"], ACTIVATION),
    (&["statement"], &["glu"], Nothing("write `parallel mul split { { }; { sigmoid } }`: half of the channels times the sigmoid of the others")),
    (&["statement"], &["layernorm", "layernormalization"], Ours("layernorm")),
    (&["statement"], &["groupnorm", "groupnormalization"], Ours("groupnorm")),
    (&["statement"], &["instancenorm", "instancenormalization"], Ours("instancenorm")),
    (&["statement"], &["normalize", "l2norm", "unitnormalization"], Ours("l2norm")),
    (&["statement"], &["rmsnorm", "rmsnormalization", "mvn", "normalization", "spectralnormalization"], NORMALIZATION),
    (&["statement"], &["lrn", "localresponsenorm", "localresponsenormalization", "crossmaplrn"], LOCAL_RESPONSE),
    (&["statement"], &["convtranspose", "deconv", "deconvolution", "deconvolutional", "transposedconv"], Ours("conv_transpose")),
    (&["statement"], &["depthwiseconv", "depthwiseconv2d", "depthwiseconv1d"], Ours("depthwise")),
    (&["statement"], &["separableconv"], Nothing("a separable convolution is two statements: `depthwise 3x3` and `conv 1x1, filters: 64`")),
    (&["depthwise"], &["depthmultiplier"], Ours("multiplier")),
    (&["depthwise"], &["filters", "outchannels", "numoutput", "numfilters", "channels"], Nothing("there is a filter for each channel: leave this out, or write `multiplier: 2` for two")),
    (&["depthwise"], &["groups", "group"], Nothing("there is a group for each channel: leave this out")),
    (&["statement"], &["local", "locallyconnected", "convlstm", "convtbc", "im2col"], Nothing("the only convolution is `conv`, whose kernel is the same everywhere")),
    (&["statement"], &["squeeze", "unsqueeze", "repeatvector", "fold", "unfold", "reorg", "reorg3d", "reorgold", "tile"], RESHAPE),
    (&["statement"], &["view", "unflatten"], Ours("reshape")),
    (&["statement"], &["cropping"], Ours("crop")),
    (&["statement"], &["permute"], Nothing("`layernorm` and `conv 1x1` read the channels of every place, so that `permute` is left out; `transpose cwh` swaps rows and columns")),
    (&["statement"], &["swapaxes"], Ours("transpose")),
    (&["statement"], &["stack", "hstack", "vstack"], Nothing("`concat LABEL` joins channels, and `add` and `mul` values; there is no further axis")),
    (&["statement"], &["print", "assert", "pass", "raise", "global"], UNNEEDED),
    (&["statement"], &["channelshuffle", "nativechannelshuffle", "shufflechannel"], Ours("shuffle")),
    (&["statement"], &["pixelshuffle"], Ours("pixel_shuffle")),
    (&["statement"], &["pixelunshuffle"], Ours("pixel_unshuffle")),
    (&["statement"], &["split", "chunk", "tensorsplit"], Nothing("`parallel concat split { … }` gives each arm a share of the channels, and `slice start: 0, count: 32` takes some")),
    (&["statement"], &["identity", "silence", "blank", "empty"], Nothing("what changes nothing is not written: leave this out")),
    (&["statement"], &["eltwise", "elementwise", "subtract", "sub", "div", "divide", "average", "maximum", "minimum", "dot", "matmul", "einsum", "einsumdense", "bilinear", "cosinesimilarity", "pairwisedistance", "pdist", "reduction", "filter", "batchreindex", "scalechannels", "sam", "implicit", "implicitadd", "implicitmul", "scaledmm", "scaledaddmm", "groupedmm", "scaledgroupedmm"], ARITHMETIC),
    (&["statement"], &["rnn", "rnnbase", "rnncell", "rnncellbase", "lstm", "lstmcell", "gru", "grucell", "simplernn", "simplernncell", "stackedrnncells", "bidirectional", "timedistributed", "recurrent", "crnn"], Nothing("values flow forward only: there is no recurrent layer")),
    (&["statement"], &["multiheadattention", "multiheadattentionforward", "scaleddotproductattention", "attention", "additiveattention", "groupedqueryattention", "groupqueryattention", "transformer", "transformerencoder", "transformerencoderlayer", "transformerdecoder", "transformerdecoderlayer"], Nothing("there is no attention; `mul LABEL` weighs channels, as in squeeze and excitation")),
    (&["statement"], &["embedding", "embeddingbag", "embed", "onehot", "masking", "categoryencoding", "discretization", "hashing", "hashedcrossing", "integerlookup", "stringlookup", "textvectorization", "stftspectrogram", "melspectrogram"], Nothing("inputs are numbers, such as images; there is no embedding")),
    (&["statement"], &["crossentropy", "binarycrossentropy", "binarycrossentropywithlogits", "linearcrossentropy", "kldiv", "cost", "accuracy"], LOSS),
    (&["statement"], &["yolo", "region", "detection", "gaussianyolo", "iseg", "cbnorm", "contrastive"], Nothing("there is no detection head; `output NAME` yields a feature map for one")),
    (&["statement"], &["self", "super", "def", "class", "x", "out", "residual", "model", "nn", "module", "modulelist", "moduledict", "parameterlist", "parameterdict", "container", "dataparallel", "functional", "layer", "parameter", "python", "net", "network"], NOT_A_STATEMENT),
    (&["statement"], &["input", "inputlayer", "data", "dummydata", "hdf5data", "hdf5output", "imagedata", "memorydata", "windowdata"], Nothing("`input 3 x 224 x 224` states channels, height and width; data is named on the command line")),
    (&["statement"], &["rescaling", "resizing", "centercrop", "gaussiannoise", "activityregularization", "randombrightness", "randomcontrast", "randomcrop", "randomflip", "randomhue", "randomsaturation", "randomheight", "randomwidth", "randomrotation", "randomtranslation", "randomzoom", "randomshear", "randomsharpness", "randomgrayscale", "randominvert", "randomposterization", "randomperspective", "randomcolorjitter", "randomcolordegeneration", "randomelastictransform", "randomerasing", "randomgaussianblur", "autocontrast", "equalization", "solarization", "augmix", "cutmix", "mixup", "randaugment", "pipeline", "maxnumboundingboxes"], IMAGES),
    (&["statement"], &["return"], Nothing("the last value is the result: delete this line")),
    (&["statement"], &["for", "while"], Nothing("blocks in a row are `repeat 3 of basic` or `stage layer1: 3 of basic { filters: 64 }`")),
    (&["statement"], &["import"], Nothing("write `use std.blocks: basic` in front of the network")),
    (&["block"], &["basic", "basicblock", "basicresidual"], Ours("basic")),
    (&["block"], &["bottleneck", "bottleneckblock"], Ours("bottleneck")),
    // --------------------------------------------------------------------------------------------------- functions of numbers
    (&["number"], &["makedivisible"], Ours("round_to")),
    (&["number"], &["int", "trunc"], Ours("floor")),
    (&["number"], &["round"], Nothing("`floor(x + 0.5)` rounds to the nearest whole number, `floor(x)` down, `ceil(x)` up, and `round_to(x, 8)` to a multiple of 8")),
    (&["number"], &["sum", "len", "range", "float"], Nothing("the functions of numbers are `floor`, `ceil`, `round_to`, `min` and `max`")),
    // ----------------------------------------------------------------------------------------------------- keys of operators
    (WINDOWS, &["kernelsize", "poolsize", "size", "window", "kernelshape", "ksize"], Ours("kernel")),
    (WINDOWS, &["kernelh", "kernelw", "strideh", "stridew", "padh", "padw", "stridex", "stridey"], BOTH_AXES),
    (WINDOWS, &["strides", "stridesize", "subsample"], Ours("stride")),
    (WINDOWS, &["pad", "pads"], Ours("padding")),
    (&["conv", "depthwise", "maxpool", "avgpool"], &["bordermode"], Nothing("an odd kernel keeps the size by default (with stride 1); `padding: 0` is `valid`")),
    (&["conv", "conv_transpose"], &["outchannels", "numoutput", "filter", "out", "numfilters", "nbfilter", "outplanes", "channels", "planes"], Ours("filters")),
    (&["conv", "conv_transpose"], &["inchannels", "inplanes", "inputchannels", "inchans"], INFERRED),
    (&["conv", "conv_transpose", "depthwise", "maxpool"], &["dilationrate", "dilations", "dilate"], Ours("dilation")),
    (&["conv", "conv_transpose"], &["group", "numgroup", "cardinality"], Ours("groups")),
    (&["conv"], &["depthmultiplier"], Nothing("a convolution of each channel by itself is `depthwise 3x3, multiplier: 2`")),
    (&["conv"], &["paddingmode"], Nothing("write `pad` in front, with its `mode`, and `padding: 0` here")),
    (&["conv"], &["outputpadding"], Nothing("it belongs to a transposed convolution, `conv_transpose 2x2, filters: 64, stride: 2`")),
    (&["conv", "conv_transpose"], &["batchnormalize", "norm", "batchnorm"], Nothing("batch normalization is a statement of its own: `batchnorm` in the next line")),
    (&["conv"], &["binary", "xnor", "flipped", "antialiasing", "deform", "assistedexcitation"], UNNEEDED),
    (&["linear"], &["infeatures", "inputdim", "inchannels", "inplanes"], INFERRED),
    (&["linear"], &["outfeatures", "units", "numoutput", "classes", "numclasses", "filters", "outputdim", "output"], Ours("features")),
    (&["linear"], &["batchnormalize", "norm", "batchnorm"], Nothing("batch normalization is a statement of its own: `batchnorm` in the next line")),
    (&["batchnorm"], &["numfeatures", "channels", "inchannels", "filters"], INFERRED),
    (&["batchnorm"], &["epsilon"], Ours("eps")),
    (&["batchnorm"], &["affine", "trackrunningstats", "scale", "center", "scalebias", "useglobalstats", "renorm", "synchronized", "bias"], Nothing("`batchnorm` always scales, shifts and keeps running statistics: leave this out")),
    (&["batchnorm"], &["movingaveragefraction"], Nothing("it is `1 - momentum`: `momentum` is the share of the new batch, as in PyTorch")),
    (&["groupnorm", "layernorm", "instancenorm"], &["epsilon"], Ours("eps")),
    (&["groupnorm", "layernorm", "instancenorm"], &["elementwiseaffine"], Ours("affine")),
    (&["groupnorm", "layernorm", "instancenorm"], &["bias", "usebias"], Nothing("`affine: false` leaves out weight and bias; for a weight alone, add `elementwise gain(x, weight: parameter = 1) = x * weight` to the file, and `gain as NAME` after the norm")),
    (&["groupnorm", "shuffle"], &["numgroups", "group"], Ours("groups")),
    (&["groupnorm", "instancenorm"], &["numchannels", "numfeatures", "channels"], INFERRED),
    (&["layernorm"], &["normalizedshape", "numchannels", "channels"], Nothing("the sizes are inferred: `layernorm` normalizes the channels of every place, `layernorm over: all` the whole sample")),
    (&["instancenorm"], &["momentum", "trackrunningstats"], Nothing("`instancenorm` keeps no running statistics: leave this out")),
    (&["conv", "depthwise", "linear"], &["usebias", "biasterm"], Ours("bias")),
    (WEIGHTED, &["activation"], Nothing("an activation is a statement of its own, in the next line: `relu`")),
    (WEIGHTED, &["inputshape"], Nothing("`input` states the shape: leave this out")),
    (POOLS, &["ceil"], Ours("ceil_mode")),
    (POOLS, &["roundmode"], Nothing("write `ceil_mode: true` where sizes are rounded up")),
    (POOLS, &["globalpooling"], Nothing("write `avgpool global` or `maxpool global`")),
    (POOLS, &["returnindices", "divisoroverride", "keepdims", "pool", "poolingmethod"], UNNEEDED),
    (&["avgpool"], &["countpad"], Ours("count_include_pad")),
    (&["avgpool"], &["to"], Ours("output_size")),
    (&["clamp"], &["low", "minval", "minvalue"], Ours("min")),
    (&["clamp"], &["high", "maxval", "maxvalue"], Ours("max")),
    (&["pixel_shuffle"], &["upscalefactor", "factor"], Ours("block_size")),
    (&["pixel_unshuffle"], &["downscalefactor", "factor"], Ours("block_size")),
    (&["space_to_depth", "depth_to_space", "pixel_shuffle", "pixel_unshuffle"], &["size"], Ours("block_size")),
    (&["slice"], &["stop", "end"], Nothing("write `count`, the number of channels from `start` on: `slice start: 0, count: 32`")),
    (&["slice"], &["begin", "offset"], Ours("start")),
    (&["slice"], &["length", "size", "channels"], Ours("count")),
    (&["mean", "max"], &["dim", "axis"], Nothing("`over: channels` is PyTorch's `dim=1`, and `over: places` its `dim=(2, 3)`")),
    (&["mean", "max"], &["keepdim", "keepdims"], Nothing("the axes are always kept: leave this out")),
    (&["l2norm"], &["p", "dim", "axis"], Nothing("it is the Euclidean norm of the channels: leave this out")),
    (&["gelu"], &["approximate"], Nothing("write `gelu_tanh` for `approximate=\"tanh\"`")),
    (&["upsample"], &["times", "scale", "factor", "stride"], Ours("scale_factor")),
    (&["upsample"], &["outputsize", "to"], Ours("size")),
    (&["upsample"], &["interpolation"], Ours("mode")),
    (&["upsample"], &["recomputescalefactor"], Nothing("coordinates follow `scale_factor` as it is written, as PyTorch's do by default: leave this out")),
    (&["upsample"], &["antialias"], Nothing("values are interpolated without antialiasing: leave this out")),
    (&["dropout"], &["p", "prob", "probability", "dropoutratio"], Ours("rate")),
    (&["dropout"], &["noiseshape", "seed"], UNNEEDED),
    (&["relu"], &["negativeslope"], Nothing("write `leaky_relu negative_slope: 0.01`")),
    (&["relu"], &["maxvalue"], Nothing("write `relu6`, or `hardtanh min_val: 0, max_val: 6`")),
    (&["relu"], &["threshold"], ACTIVATION),
    (&["leaky_relu"], &["alpha", "slope"], Ours("negative_slope")),
    (&["hardtanh"], &["min", "minvalue"], Ours("min_val")),
    (&["hardtanh"], &["max", "maxvalue"], Ours("max_val")),
    (&["softmax", "concat"], &["dim", "axis", "concatdim", "temperature", "tree"], Nothing("it works on the channels or features: leave this out")),
    (&["flatten"], &["startdim", "enddim", "axis", "endaxis"], Nothing("everything but the batch is flattened: leave this out")),
    (&["pad"], &["padding", "pad"], Ours("sides")),
    (&["pad"], &["paddingmode"], Ours("mode")),
    (&["pad"], &["value", "fill"], Nothing("`pad` fills with zeros, with `mode: reflect` or with `mode: replicate`")),
    (&["operator"], &["kernelinitializer", "biasinitializer", "gammainitializer", "betainitializer", "movingmeaninitializer", "movingvarianceinitializer", "depthwiseinitializer", "pointwiseinitializer", "weightfiller", "biasfiller", "filler", "init", "weightinit"], INITIALIZED),
    (&["operator"], &["kernelregularizer", "biasregularizer", "activityregularizer", "gammaregularizer", "betaregularizer", "wregularizer", "lrmult", "decaymult", "l2"], DECAYED),
    (&["operator"], &["kernelconstraint", "biasconstraint", "gammaconstraint", "betaconstraint", "dataformat", "dimordering", "device", "dtype", "inplace", "engine", "forcendim2col", "axis", "transpose", "param", "include", "phase", "loraran", "lorarank", "loraalpha", "quantizationconfig"], UNNEEDED),
    (&["operator"], &["trainable", "dontload", "dontloadscales", "stopbackward", "learningratescale"], Nothing("layers that are not trained go in the recipe: `train { freeze: [layer1] }`")),
    (&["operator"], &["name", "top", "bottom"], Nothing("`as NAME` at the statement's end names its result: leave this out")),
    // -------------------------------------------------------------------------------------------------------------- training
    (&["train"], &["batchsize", "minibatch"], Ours("batch")),
    (&["train"], &["clip", "gradclip", "maxnorm", "clipnorm", "globalclipnorm", "clipgradients"], Ours("clip_grad_norm")),
    (&["train"], &["clipvalue"], Nothing("gradients are limited by their norm: `clip_grad_norm 1.0`")),
    (&["train"], &["broken"], Ours("on_error")),
    (&["train"], &["criterion", "lossfn", "lossfunction"], Ours("loss")),
    (&["train"], &["numepochs", "maxepochs", "nbepochs", "nepochs"], Ours("epochs")),
    (&["train"], &["maxsteps", "iterations", "maxiter", "maxbatches", "niter"], Ours("steps")),
    (&["train"], &["lrscheduler", "scheduler", "lrpolicy", "policy"], Ours("schedule")),
    (&["train"], &["randomseed", "manualseed"], Ours("seed")),
    (&["train"], &["transforms", "transform", "augmentation"], Ours("augment")),
    (&["train"], &["accumulationsteps", "gradientaccumulationsteps", "subdivisions", "itersize"], Ours("accumulate")),
    (&["train"], &["droppath", "droppathrate"], Ours("stochastic_depth")),
    (&["train"], &["learningrate", "lr", "baselr", "weightdecay", "decay", "momentum", "nesterov", "rate", "solvertype", "type"], OF_OPTIMIZER),
    (&["train"], &["labelsmoothing", "smoothing"], Nothing("it is a key of the loss: `loss cross_entropy { label_smoothing: 0.1 }`")),
    (&["train"], &["burnin", "warmupepochs", "warmupsteps", "lrwarmupepochs"], Nothing("write `warmup 5 epochs`")),
    (&["train"], &["gamma", "power", "stepsize", "stepvalue", "scales", "milestones"], Nothing("it is a key of the schedule: `schedule steps { at: [30, 60], gamma: 0.1 }`")),
    (&["train"], &["validationsplit", "validationdata", "testinterval", "testiter", "validationfreq", "evalsteps"], Nothing("validation data is named on the command line (`--val`); `validate 1 epochs` says how often")),
    (&["train"], &["snapshot", "savesteps", "savefreq"], Ours("checkpoint")),
    (&["train"], &["snapshotprefix", "device", "solvermode", "display", "verbose", "averageloss", "debuginfo", "net", "metrics", "callbacks", "workers", "numworkers", "usemultiprocessing", "amp", "fp16", "runeagerly"], Nothing("it is no part of a recipe: `resnetc train --help` lists the options")),
    (&["train"], &["classweight", "sampleweight", "classweights", "stepsperepoch", "initialepoch", "regularizationtype"], UNNEEDED),
    (&["train"], &["angle", "saturation", "exposure", "hue", "flip", "mosaic", "mixup", "cutmix", "jitter", "randomcrop", "mirror"], Nothing("it is no key of a recipe itself: augmentation goes in `augment { flip: horizontal }`")),
    (&["train"], &["width", "height", "channels"], Nothing("`input 3 x 224 x 224` states channels, height and width")),
    (&["optimizer"], &["adam", "adamw", "adamax", "nadam", "radam", "sparseadam", "asgd", "adadelta", "adafactor", "adagrad", "lamb", "lars", "lbfgs", "lion", "muon", "rmsprop", "rprop", "ftrl", "lossscaleoptimizer"], OPTIMIZER),
    (&["optimizer"], &["sgd", "momentum"], Ours("sgd")),
    (&["optimizer sgd"], &["rate", "learningrate", "baselr"], Ours("lr")),
    (&["optimizer sgd"], &["decay", "l2"], Ours("weight_decay")),
    (&["optimizer sgd"], &["decaynorms"], Ours("decay_norm")),
    (&["optimizer sgd"], &["decaybiases"], Ours("decay_bias")),
    (&["optimizer sgd"], &["betas", "beta1", "beta2", "eps", "epsilon", "rho", "amsgrad", "dampening"], OPTIMIZER),
    (&["optimizer sgd"], &["maximize", "foreach", "differentiable", "fused", "params", "useema", "emamomentum"], UNNEEDED),
    (&["optimizer sgd"], &["clipnorm", "globalclipnorm", "clipvalue"], Nothing("gradients are limited by `clip_grad_norm 1.0` in `train`")),
    (&["schedule"], &["steplr", "step", "piecewiseconstantdecay", "multistep", "sgdr"], STEPS_TIMES),
    (&["schedule"], &["multisteplr"], Ours("steps")),
    (&["schedule"], &["cosineannealinglr", "cosineannealing", "cosinedecay"], Ours("cosine")),
    (&["schedule"], &["reducelronplateau", "reduceonplateau"], Ours("plateau")),
    (&["schedule"], &["onecyclelr", "onecycle"], Ours("one_cycle")),
    (&["schedule"], &["constantlr", "fixed"], Ours("constant")),
    (&["schedule"], &["exponentiallr", "exponential", "exponentialdecay", "inversetimedecay", "exp", "inv", "poly", "polynomiallr", "polynomialdecay", "sigmoid", "sig", "random", "linear", "linearlr", "lambdalr", "multiplicativelr", "cycliclr", "cosineannealingwarmrestarts", "cosinedecayrestarts", "sequentiallr", "chainedscheduler", "lrscheduler", "learningratescheduler"], SCHEDULE),
    (&["schedule steps"], &["times", "factor", "scales", "dropfactor"], Ours("gamma")),
    (&["schedule steps"], &["milestones", "boundaries", "steps", "stepvalue"], Ours("at")),
    (&["schedule steps"], &["stepsize", "stepssize"], STEPS_TIMES),
    (&["schedule plateau"], &["times", "gamma"], Ours("factor")),
    (&["schedule plateau"], &["least"], Ours("min_lr")),
    (&["schedule plateau"], &["mode", "monitor", "threshold", "thresholdmode", "mindelta", "cooldown", "eps", "verbose"], Nothing("an improvement is any lower validation error: leave this out")),
    (&["schedule cosine"], &["end", "minlr", "alpha"], Ours("eta_min")),
    (&["schedule cosine", "schedule one_cycle"], &["tmax", "totalsteps", "epochs", "stepsperepoch", "decaysteps"], LENGTH_IS_KNOWN),
    (&["schedule one_cycle"], &["rise"], Ours("pct_start")),
    (&["schedule one_cycle"], &["start"], Ours("div_factor")),
    (&["schedule one_cycle"], &["end"], Ours("final_div_factor")),
    (&["schedule one_cycle"], &["maxlr"], Nothing("the highest learning rate is the optimizer's `lr`: leave this out")),
    (&["schedule one_cycle"], &["annealstrategy", "cyclemomentum", "basemomentum", "maxmomentum", "threephase"], Nothing("it rises and falls along a cosine, with a constant momentum: leave this out")),
    (&["schedule steps", "schedule plateau", "schedule cosine", "schedule one_cycle"], &["lastepoch", "optimizer"], Nothing("a run continues with `resnetc train --resume`: leave this out")),
    (&["warmup"], &["rate"], Ours("start_lr")),
    (&["warmup"], &["rises"], Ours("ramp")),
    (&["loss"], &["smoothing"], Ours("label_smoothing")),
    (&["loss"], &["crossentropyloss", "crossentropy", "categoricalcrossentropy", "sparsecategoricalcrossentropy", "softmaxwithloss"], Ours("cross_entropy")),
    (&["loss"], &["mse", "mseloss", "meansquarederror", "bce", "bceloss", "bcewithlogitsloss", "binarycrossentropy", "nllloss", "l1loss", "smoothl1loss", "huberloss", "focal", "focalloss", "euclideanloss", "hingeloss", "sse", "kldivloss", "tripletmarginloss"], Nothing("the only loss is `cross_entropy`")),
    (&["loss cross_entropy"], &["smoothing"], Ours("label_smoothing")),
    (&["loss cross_entropy"], &["weight", "ignoreindex", "reduction", "sizeaverage", "reduce", "fromlogits"], Nothing("the loss is the mean over the batch, of scores before `softmax`: leave this out")),
    (&["augment"], &["random_crop", "randomresizedcrop"], Ours("random_resized_crop")),
    (&["augment"], &["colour", "color", "colorjitter", "randomphotometricdistort"], Ours("color_jitter")),
    (&["augment"], &["randomhorizontalflip", "randomflip", "horizontalflip", "hflip", "mirror"], Nothing("write `flip: horizontal`")),
    (&["augment"], &["randomcrop"], Nothing("write `pad: 4, crop: 32`: crops of 32 from an image padded by 4; `random_resized_crop` is torchvision's `RandomResizedCrop`")),
    (&["augment"], &["pad"], Ours("pad")),
    (&["augment"], &["randomerasing", "coarsedropout"], Nothing("`cutout: 16` erases a square")),
    (&["augment"], &["randomresize", "randomshortestsize", "scalejitter"], Nothing("write `scale: [256, 480], crop: 224`")),
    (&["augment"], &["normalize", "totensor", "todtype", "toimage", "topuretensor", "topilimage", "piltotensor", "convertimagedtype", "rescale", "centercrop", "resize", "grayscale", "rgb", "fivecrop", "tencrop"], Nothing("`preprocess { … }` does this, for training too: `preprocess { mean: […], std: […] }`")),
    (&["augment"], &["compose", "randomapply", "randomchoice", "randomorder", "lambda", "transform", "identity"], Nothing("augmentations are applied in the order in which they are written: leave this out")),
    (&["augment"], &["augmix", "autoaugment", "autoaugmentpolicy", "randaugment", "trivialaugmentwide", "cutmix", "mixup", "mosaic", "elastictransform", "gaussianblur", "gaussiannoise", "jpeg", "lineartransformation", "randomadjustsharpness", "randomaffine", "randomautocontrast", "randomchannelpermutation", "randomequalize", "randomgrayscale", "randominvert", "randomioucrop", "randomperspective", "randomposterize", "randomrotation", "randomsolarize", "randomverticalflip", "verticalflip", "randomzoomout", "randomzoom", "randomtranslation", "rotationrange", "widthshiftrange", "heightshiftrange", "shearrange", "zoomrange", "angle", "clampboundingboxes", "clampkeypoints", "convertboundingboxformat", "sanitizeboundingboxes", "sanitizekeypoints", "setclampingmode", "uniformtemporalsubsample", "interpolationmode", "hue"], AUGMENTATION),
    (&["preprocess"], &["size"], Ours("resize")),
    (&["preprocess"], &["centercrop"], Ours("crop")),
    (&["preprocess"], &["normalize", "totensor", "rescale", "scale", "meanfile", "meanvalue"], Nothing("write `mean: […], std: […]`, of values from 0 to 1")),
    (&["preprocess"], &["resample", "interpolationmode", "filter"], Ours("interpolation")),
    (&["preprocess"], &["antialias", "maxsize"], Nothing("images are resized as PIL does, antialiased: leave this out")),
    // -------------------------------------------------------------------------------------------------- stages and shortcuts
    (&["stage"], &["planes", "outchannels", "channels", "width", "numfilters"], Ours("filters")),
    (&["stage"], &["stride", "strides"], Nothing("write `map: halve`: the stage's first block then has stride 2")),
    (&["stage"], &["dilation"], Ours("dilate")),
    (&["stage"], &["block", "blocks", "depth", "layers", "numblocks"], Nothing("the number and the block come first: `stage layer1: 3 of basic { … }`")),
    (&["policy"], &["conv", "conv1x1", "projectionshortcut", "downsample", "b"], Ours("projection")),
    (&["policy"], &["zero", "zeros", "zeropad", "a"], Ours("pad")),
    (&["policy"], &["c"], Ours("projection(when: always)")),
    // ------------------------------------------------------------------------------------------------ functions of expressions
    (&["function"], &["where", "cond", "ifelse", "select", "switch"], Nothing("write `if x > 0 then x else 0`")),
    (&["function"], &["pow", "power"], Nothing("a square is `square(x)`, a cube `x * x * x`")),
    (&["function"], &["maximum", "fmax"], Ours("max")),
    (&["function"], &["minimum", "fmin"], Ours("min")),
    (&["function"], &["absolute", "fabs"], Ours("abs")),
    (&["function"], &["ln"], Ours("log")),
    (&["function"], &["clip", "clipbyvalue"], Ours("clamp")),
    (&["function"], &["logistic", "expit"], Ours("sigmoid")),
    (&["function"], &["swish"], Ours("silu")),
    (&["function"], &["neg", "negative"], Nothing("write `-x`")),
    (&["function"], &["reciprocal", "rsqrt"], Nothing("write `1 / x`, `1 / sqrt(x)`")),
    (&["function"], &["add", "sub", "subtract", "mul", "multiply", "div", "divide"], Nothing("write `a + b`, `a - b`, `a * b`, `a / b`")),
    // ------------------------------------------------------------------------------------------------------ the command line
    (&["command line"], &["mean"], Ours("dataset-stats")),
    (&["command line"], &["--max-pack"], Ours("--max-packed-weights")),
    (&["command line"], &["--broken"], Ours("--on-error")),
    // ---------------------------------------------------------------------------------------------------------------- values
    (&["value"], &["half", "halved", "halves"], Ours("halve")),
    (&["value"], &["true"], Ours("true")),
    (&["value"], &["false"], Ours("false")),
    (&["value"], &["none", "null", "nil"], Nothing("there is no such value: leave the key out to get its default")),
    (&["value"], &["same"], Nothing("padding is a number; an odd kernel keeps the size by default (with stride 1): leave the key out")),
    (&["value"], &["inchannels"], Nothing("in a block, `in_channels` is the number of channels of its input; a parameter can have it as its default: `block unit(hidden = in_channels * 6)`")),
    (&["value"], &["valid"], Nothing("write `padding: 0`")),
];
