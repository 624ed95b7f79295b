//! The table of PyTorch's and Keras's layers, and what each is here. Defaults that differ are written out, so that a statement
//! computes the same.
//!
//! What a single word is elsewhere, without its arguments, is in [`table`](crate::syntax::table).

use super::layer::{Argument, Layer, Own, always, optional, required};
use super::rules;
use super::value::{count, extent, factors, interpolation, kernel, number, sides, size, truth, window_padding};
use Own::{Statement, Statements};

const EPS: Argument = optional("eps", &["eps"], number);
const AFFINE: Argument = optional("affine", &["affine", "elementwise_affine"], truth);
const STRIDE: Argument = optional("stride", &["stride", "strides"], extent);
const CEIL: Argument = optional("ceil_mode", &["ceil_mode"], truth);
const TO_SIZE: Argument = optional("size", &["size"], extent);
const BY_FACTOR: Argument = optional("scale_factor", &["scale_factor"], factors);
// a window has no padding there by default, and 2x2 pixels in Keras
const WINDOW: Argument = required("", &["kernel_size", "pool_size"], kernel).or("2x2");
const PADDING: Argument = required("padding", &["padding"], window_padding).or("padding: 0");
const CONV: &[&str] = &["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"];
const CONV_TRANSPOSE: &[&str] =
    &["in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation"];
const TRANSPOSED: &[Argument] = &[
    required("", &["kernel_size"], kernel),
    required("filters", &["out_channels"], count),
    STRIDE,
    optional("padding", &["padding"], size),
    optional("output_padding", &["output_padding"], size),
    optional("dilation", &["dilation"], extent),
    optional("groups", &["groups"], count),
    optional("bias", &["bias"], truth).or("bias: true"),
];

/// A row of the table.
const fn row(names: &'static [&'static str], parameters: &'static [&'static str], own: Own) -> Layer {
    Layer { names, parameters, own }
}

/// The layer of a name.
pub fn find(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.names.contains(&name))
}

#[rustfmt::skip] // a row a line reads as a table
pub const LAYERS: &[Layer] = &[
    // ---------------------------------------------------------------------------------------------------- convolutions
    row(&["Conv2d", "conv"], CONV, Statements(rules::convolution)),
    row(&["Conv2D", "Convolution2D"], &["filters", "kernel_size", "strides", "padding"], Statements(rules::convolution)),
    // torchvision's and timm's functions that make a convolution
    row(&["conv3x3"], &["in_planes", "out_planes", "stride", "groups", "dilation"], Statement("conv 3x3", &[required("filters", &["out_planes"], count), STRIDE, optional("dilation", &["dilation"], extent), optional("groups", &["groups"], count)])),
    row(&["conv1x1"], &["in_planes", "out_planes", "stride"], Statement("conv 1x1", &[required("filters", &["out_planes"], count), STRIDE])),
    row(&["ConvTranspose2d"], CONV_TRANSPOSE, Statement("conv_transpose", TRANSPOSED)),
    row(&["Linear"], &["in_features", "out_features", "bias"], Statement("linear", &[required("", &["out_features"], count), optional("bias", &["bias"], truth)])),
    row(&["Dense"], &["units", "activation"], Statement("linear", &[required("", &["units"], count), optional("bias", &["use_bias"], truth)])),
    // -------------------------------------------------------------------------------------------------- normalizations
    row(&["BatchNorm2d", "BatchNorm1d", "SyncBatchNorm"], &["num_features", "eps", "momentum"], Statement("batchnorm", &[EPS, optional("momentum", &["momentum"], number)])),
    // Keras's momentum is the share that stays
    row(&["BatchNormalization"], &[], Statement("batchnorm eps: 1e-3, momentum: 0.01", &[])),
    row(&["GroupNorm"], &["num_groups", "num_channels", "eps", "affine"], Statement("groupnorm", &[required("groups", &["num_groups"], count), EPS, AFFINE])),
    row(&["LayerNorm"], &["normalized_shape", "eps", "elementwise_affine"], Statements(rules::layer_norm)),
    row(&["LayerNorm2d"], &["normalized_shape", "eps", "affine"], Statements(rules::layer_norm)),
    row(&["InstanceNorm2d"], &["num_features", "eps", "momentum", "affine"], Statement("instancenorm", &[EPS, AFFINE])),
    row(&["normalize"], &["p", "dim", "eps"], Statements(rules::normalize)),
    // ----------------------------------------------------------------------------------------------------------- pools
    row(&["MaxPool2d", "MaxPooling2D", "max_pool2d"], &["kernel_size", "stride", "padding", "dilation"], Statement("maxpool", &[WINDOW, STRIDE, PADDING, optional("dilation", &["dilation"], extent), CEIL])),
    row(&["AvgPool2d", "AveragePooling2D", "avg_pool2d"], &["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"], Statement("avgpool", &[WINDOW, STRIDE, PADDING, CEIL, optional("count_include_pad", &["count_include_pad"], truth)])),
    row(&["AdaptiveAvgPool2d", "adaptive_avg_pool2d"], &["output_size"], Statements(rules::adaptive_average)),
    row(&["AdaptiveMaxPool2d", "adaptive_max_pool2d"], &["output_size"], Statements(rules::adaptive_maximum)),
    row(&["GlobalAveragePooling2D"], &[], Statement("avgpool global", &[])),
    row(&["GlobalMaxPooling2D"], &[], Statement("maxpool global", &[])),
    row(&["mean"], &["dim", "keepdim"], Statements(rules::mean)),
    row(&["max", "amax"], &["dim", "keepdim"], Statements(rules::maximum)),
    // ----------------------------------------------------------------------------------------------------------- sizes
    row(&["Upsample", "interpolate"], &["size", "scale_factor", "mode", "align_corners"], Statements(rules::upsample)),
    row(&["UpsamplingNearest2d"], &["size", "scale_factor"], Statement("upsample nearest", &[TO_SIZE, BY_FACTOR])),
    row(&["UpsamplingBilinear2d"], &["size", "scale_factor"], Statement("upsample bilinear", &[TO_SIZE, BY_FACTOR, always("align_corners: true")])),
    row(&["UpSampling2D"], &["size"], Statement("upsample", &[required("", &["interpolation"], interpolation).or("nearest"), required("scale_factor", &["size"], factors).or("scale_factor: 2")])),
    row(&["ZeroPad2d"], &["padding"], Statement("pad", &[required("", &["padding"], sides)])),
    row(&["ZeroPadding2D"], &["padding"], Statement("pad", &[required("", &["padding"], size).or("1")])),
    row(&["ReflectionPad2d"], &["padding"], Statement("pad", &[required("", &["padding"], sides), always("mode: reflect")])),
    row(&["ReplicationPad2d"], &["padding"], Statement("pad", &[required("", &["padding"], sides), always("mode: replicate")])),
    row(&["pad"], &["pad", "mode", "value"], Statements(rules::pad)),
    // -------------------------------------------------------------------------------------------------- other orders
    row(&["transpose", "swapaxes"], &["dim0", "dim1"], Statements(rules::transpose)),
    row(&["permute"], &["0", "1", "2", "3"], Statements(rules::permute)),
    row(&["ChannelShuffle", "channel_shuffle"], &["groups"], Statement("shuffle", &[required("groups", &["groups"], count)])),
    row(&["PixelShuffle", "pixel_shuffle"], &["upscale_factor"], Statement("pixel_shuffle", &[required("", &["upscale_factor"], count)])),
    row(&["PixelUnshuffle", "pixel_unshuffle"], &["downscale_factor"], Statement("pixel_unshuffle", &[required("", &["downscale_factor"], count)])),
    row(&["view", "reshape"], &["0", "1", "2", "3"], Statements(rules::reshape)),
    row(&["Flatten", "flatten"], &["start_dim", "end_dim"], Statements(rules::flatten)),
    // ---------------------------------------------------------------------------------------------------------- others
    row(&["Dropout", "dropout"], &["p"], Statements(rules::dropout)),
    row(&["Softmax", "softmax"], &["dim"], Statements(rules::softmax)),
];
