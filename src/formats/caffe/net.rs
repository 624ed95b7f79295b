//! The layers that a `.prototxt` has in the test phase, with the names of types of today.

use std::ops::Range;

use super::super::layer_list::{LayersError, Text};
use super::fields::Fields;
use crate::syntax::prototxt::{Field, Message, Value};

/// A layer.
pub(super) struct Layer<'m> {
    pub name: &'m str,
    /// Its type: `Convolution`.
    pub kind: &'m str,
    /// The names of the values that it reads.
    pub bottoms: Vec<&'m str>,
    /// The names of its results.
    pub tops: Vec<&'m str>,
    pub fields: Fields<'m>,
    /// The bytes of the layer in the text.
    pub range: Range<usize>,
    /// The sizes of an input that is declared without a layer, with the batch.
    pub sizes: Vec<usize>,
}

impl<'m> Layer<'m> {
    /// Its name and type, for messages.
    pub fn shown(&self) -> String {
        format!("`{}` ({})", self.name, self.kind)
    }

    /// The message with its parameters: `convolution_param`.
    pub fn param(&self, name: &str) -> Fields<'m> {
        self.fields.message(name)
    }
}

/// A network.
pub(super) struct Net<'m> {
    pub name: &'m str,
    pub layers: Vec<Layer<'m>>,
}

/// The types of layers in files from before December 2014, and the names that they have since then.
const FORMER: &[(&str, &str)] = &[
    ("ABSVAL", "AbsVal"),
    ("ACCURACY", "Accuracy"),
    ("ARGMAX", "ArgMax"),
    ("BNLL", "BNLL"),
    ("CONCAT", "Concat"),
    ("CONTRASTIVE_LOSS", "ContrastiveLoss"),
    ("CONVOLUTION", "Convolution"),
    ("DATA", "Data"),
    ("DECONVOLUTION", "Deconvolution"),
    ("DROPOUT", "Dropout"),
    ("DUMMY_DATA", "DummyData"),
    ("ELTWISE", "Eltwise"),
    ("EUCLIDEAN_LOSS", "EuclideanLoss"),
    ("EXP", "Exp"),
    ("FLATTEN", "Flatten"),
    ("HDF5_DATA", "HDF5Data"),
    ("HDF5_OUTPUT", "HDF5Output"),
    ("HINGE_LOSS", "HingeLoss"),
    ("IM2COL", "Im2col"),
    ("IMAGE_DATA", "ImageData"),
    ("INFOGAIN_LOSS", "InfogainLoss"),
    ("INNER_PRODUCT", "InnerProduct"),
    ("LRN", "LRN"),
    ("MEMORY_DATA", "MemoryData"),
    ("MULTINOMIAL_LOGISTIC_LOSS", "MultinomialLogisticLoss"),
    ("MVN", "MVN"),
    ("POOLING", "Pooling"),
    ("POWER", "Power"),
    ("RELU", "ReLU"),
    ("SIGMOID", "Sigmoid"),
    ("SIGMOID_CROSS_ENTROPY_LOSS", "SigmoidCrossEntropyLoss"),
    ("SILENCE", "Silence"),
    ("SLICE", "Slice"),
    ("SOFTMAX", "Softmax"),
    ("SOFTMAX_LOSS", "SoftmaxWithLoss"),
    ("SPLIT", "Split"),
    ("TANH", "TanH"),
    ("THRESHOLD", "Threshold"),
    ("WINDOW_DATA", "WindowData"),
];

impl<'m> Net<'m> {
    pub fn of(message: &'m Message<'m>, text: &Text) -> Result<Net<'m>, LayersError> {
        let fields = Fields(Some(message));
        let mut layers = inputs(fields, text)?;
        for field in &message.fields {
            let is_former = match field.name {
                "layer" => false,
                "layers" => true,
                _ => continue,
            };
            let Value::Message(inner) = &field.value else {
                return Err(text.error(field.range.start, format!("`{}` must have fields in braces", field.name)));
            };
            let own = Fields(Some(inner));
            let fault = |message: &str| text.error(field.range.start, message);
            if is_former && own.all("layer").next().is_some() {
                return Err(fault(
                    "this is the format of Caffe from 2013, with `layer` inside of `layers`: Caffe's `upgrade_net_proto_text` \
                     turns it into a newer one",
                ));
            }
            let stated = own.word("type").ok_or_else(|| fault("this layer has no `type`"))?;
            let kind =
                if is_former { FORMER.iter().find(|(old, _)| *old == stated).map_or(stated, |(_, new)| new) } else { stated };
            if !is_in_test(own) {
                continue;
            }
            layers.push(Layer {
                name: own.word("name").unwrap_or(""),
                kind,
                bottoms: own.words("bottom").collect(),
                tops: own.words("top").collect(),
                fields: own,
                range: field.range.clone(),
                sizes: Vec::new(),
            });
        }
        Ok(Net { name: fields.word("name").unwrap_or(""), layers })
    }
}

/// Whether a layer is part of the network in the test phase, as `StateMeetsRule` of Caffe's `net.cpp` decides.
fn is_in_test(layer: Fields<'_>) -> bool {
    let meets = |rule: Fields<'_>| {
        let level = |name: &str, or: i64| rule.int(name, or).unwrap_or(or);
        matches!(rule.word("phase"), None | Some("TEST" | "1"))
            && level("min_level", 0) <= 0
            && level("max_level", 0) >= 0
            && rule.word("stage").is_none()
    };
    let (mut include, mut exclude) = (layer.messages("include").peekable(), layer.messages("exclude"));
    if include.peek().is_some() { include.any(meets) } else { !exclude.any(meets) }
}

/// The inputs that are declared at the top of the file: `input: "data"` with `input_shape { … }`, or with four `input_dim`.
fn inputs<'m>(fields: Fields<'m>, text: &Text) -> Result<Vec<Layer<'m>>, LayersError> {
    let at = fields.all("input").next().map_or(0, |field| field.range.start);
    let fault = |reason: String| text.error(at, reason);
    let dims = fields.sizes("input_dim").map_err(fault)?;
    let shapes = fields.messages("input_shape").map(|shape| shape.sizes("dim")).collect::<Result<Vec<_>, _>>().map_err(fault)?;
    let names: Vec<&Field<'m>> = fields.all("input").collect();
    let sizes: Vec<Vec<usize>> = if shapes.is_empty() { dims.chunks(4).map(<[usize]>::to_vec).collect() } else { shapes };
    if names.len() != sizes.len() || sizes.iter().any(Vec::is_empty) {
        return Err(fault(format!("the file has {} `input`, but the sizes of {}", names.len(), sizes.len())));
    }
    let layer = |(field, sizes): (&&'m Field<'m>, Vec<usize>)| {
        let name = field.word().unwrap_or("");
        Layer {
            name,
            kind: "Input",
            bottoms: Vec::new(),
            tops: vec![name],
            fields: Fields(None),
            range: field.range.clone(),
            sizes,
        }
    };
    Ok(names.iter().zip(sizes).map(layer).collect())
}
