//! Writes a checked network as an ONNX file.

mod convolutions;
mod elementwise;
mod emit;
mod error;
mod file;
mod norms;
mod options;
mod pools;
mod rearrange;
mod resize;

pub use error::ExportError;
pub use options::{ExportOptions, FIRST_OPSET, LAST_OPSET};

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::proto::{
    DataType, DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::base::source::SourceMap;
use crate::ir::{Checked, Dim, ShapedNetwork, TensorType};
use crate::passes;
use crate::runtime::ParamStore;
use emit::Emitter;

/// The origin of a network, for the metadata of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The main source file.
    pub file: String,
    /// SHA-256 of the concatenated sources, in hexadecimal.
    pub sha256: String,
}

impl Source {
    /// The origin of a network compiled from these files. The first one is the main file.
    pub fn of(sources: &SourceMap) -> Source {
        let mut hash = Sha256::new();
        let mut first = None;
        for (_, file) in sources.files() {
            first.get_or_insert(&file.name);
            hash.update(file.text.as_bytes());
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Source { file: first.cloned().unwrap_or_default(), sha256 }
    }
}

/// The result of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The number of nodes.
    pub nodes: usize,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The external data file and its size, if there is one.
    pub data: Option<(PathBuf, u64)>,
}

/// Writes a network as ONNX, atomically. `checked` is the network before passes.
///
/// Inputs and outputs keep their names. The batch is dynamic, and so are height and width if they are free in the network. Values are f32, of
/// shape `[batch, channels, height, width]`. Tensors have the names of the parameters.
pub fn write(
    path: &Path,
    checked: &Checked,
    params: &ParamStore,
    source: &Source,
    options: &ExportOptions,
) -> Result<Exported, ExportError> {
    if !(FIRST_OPSET..=LAST_OPSET).contains(&options.opset) {
        return Err(ExportError::Opset { got: options.opset });
    }
    let folded;
    let network: &ShapedNetwork = if options.fold {
        folded = passes::fold(checked.clone());
        &folded
    } else {
        checked
    };
    let (graph, tensors) = graph(network, params, options.opset)?;
    let nodes = graph.node.len();
    let model = model(graph, network, source, options);
    let (bytes, data) = file::write(path, model, tensors, options.external_data)?;
    Ok(Exported { nodes, bytes, data })
}

fn graph(checked: &ShapedNetwork, params: &ParamStore, opset: i64) -> Result<(GraphProto, Vec<file::Weight>), ExportError> {
    let mut out = Emitter::new(checked, params, opset);
    for id in checked.graph().order() {
        out.node(id)?;
    }
    let inputs = checked.graph().inputs().iter().map(|&id| {
        let name = out.value(id.into());
        info(name, checked.types.get(id))
    });
    let input = inputs.collect();
    let mut output = Vec::new();
    for (name, value) in checked.graph().outputs() {
        out.output(name, *value);
        output.push(info(name.clone(), checked.types.get(*value)));
    }
    let (node, weights) = out.finish();
    Ok((GraphProto { node, name: Some(checked.network.name.clone()), input, output, ..GraphProto::default() }, weights))
}

fn model(graph: GraphProto, checked: &ShapedNetwork, source: &Source, options: &ExportOptions) -> ModelProto {
    let mut props = vec![("resnetc.network", checked.network.name.clone())];
    if !source.sha256.is_empty() {
        props.push(("resnetc.source", source.file.clone()));
        props.push(("resnetc.source.sha256", source.sha256.clone()));
    }
    if let Some(how) = &checked.network.preprocess
        && let Ok(text) = serde_json::to_string(how)
    {
        props.push(("resnetc.preprocess", text));
    }
    if !checked.network.labels.is_empty()
        && let Ok(text) = serde_json::to_string(&checked.network.labels)
    {
        props.push(("resnetc.labels", text));
    }
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) };
    ModelProto {
        ir_version: Some(ir_version(options.opset)),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(options.opset) }],
        producer_name: Some("resnetc".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        doc_string: None,
        graph: Some(graph),
        metadata_props: props.into_iter().map(entry).collect(),
        functions: Vec::new(),
    }
}

/// The version of the file format that came with an opset (`onnx.helper.VERSION_TABLE`).
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        25..=27 => 13,
        28.. => 14,
    }
}

/// The description of an input or output: its name, and its shape after the batch.
fn info(name: String, of: &TensorType) -> ValueInfoProto {
    let known = |n: usize| DimensionProto { dim_value: i64::try_from(n).ok(), dim_param: None };
    let named = |name: String| DimensionProto { dim_value: None, dim_param: Some(name) };
    let mut dim = vec![named("batch".to_owned())];
    for size in of.shape.dims().unwrap_or(&[]) {
        dim.push(match *size {
            Dim::Fixed(n) => known(n),
            // the axis itself is named `H`; derived sizes are named by their formula
            free @ Dim::Free { .. } => named(free.to_string()),
        });
    }
    let tensor = TensorTypeProto { elem_type: Some(DataType::from(of.dtype) as i32), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
