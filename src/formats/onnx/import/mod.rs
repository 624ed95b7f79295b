//! Imports an ONNX file as a graph of the language's operators, with its tensors.

mod arithmetic;
mod arms;
mod attention;
mod axes;
mod blur;
mod call;
mod channel_conv;
mod channels_last;
mod conditions;
mod constants;
mod conv_transpose;
mod dispatch;
mod expand;
mod flow;
mod functions;
mod gem;
mod interface;
mod layers;
mod learned;
mod literal;
mod means;
mod metadata;
mod names;
mod norms;
mod order;
mod outputs;
mod pointwise;
mod quantized;
mod readers;
mod rearrange;
mod recognize;
mod reshape;
mod resize;
mod shapes;
mod split;
mod standardized;
mod tensors;
mod turned;
mod values;
mod windows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use prost::Message;

use super::super::kind;
use super::super::names::{Functions, Names};
use super::error::{OnnxError, Unsupported};
use super::limits;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::base::mmap::Bytes;
use crate::base::source::{FileId, SourceMap, Span};
use crate::base::tensor::Tensor;
use crate::elaborate::MAX_NODES;
use crate::ir::{
    Graph, Network, Node, NodeId, Op, Origin, Precision, Precisions, Preprocess, Shape, Standardize, Value, infer_shape,
};
use crate::runtime::ParamStore;
use call::Call;
use flow::Flow;
use order::sorted;
use recognize::Library;
use tensors::TensorReader;
use values::Known;

/// Options of the import.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The number of batch axes of each input: 1, except for files with single operators.
    pub batch_axes: usize,
    /// The values of inputs that are constants: weights that the file does not contain.
    pub given: Vec<(String, Tensor)>,
    /// The folder of the actual file, if the ONNX file is a symbolic link. Links to external data may point into it.
    pub linked: Option<PathBuf>,
    /// The values that become the outputs, instead of those of the file; none for those.
    pub outputs: Vec<String>,
    /// Whether parameters keep the names of the file, so that the state dict that it was exported from can be loaded.
    pub keep_names: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { batch_axes: 1, given: Vec::new(), linked: None, outputs: Vec::new(), keep_names: false }
    }
}

/// An imported ONNX file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The name of the network in the file.
    pub name: String,
    /// The operators, with torchvision's layer names if the file has them. Inputs and outputs have their names in the file.
    pub graph: Graph,
    /// Parameters by name: `layer1.0.conv1.weight`.
    pub tensors: BTreeMap<String, Tensor>,
    /// A listing with a line per node of the file, which the spans of the graph point to.
    pub sources: SourceMap,
    /// The metadata of the file.
    pub metadata: BTreeMap<String, String>,
    /// The class names in the metadata, if they are as many as the main output has channels.
    pub labels: Vec<String>,
    /// Inputs that are transposed in the file: their samples are columns there, and rows in the graph.
    pub transposed: Vec<String>,
    /// The external data files.
    pub data_files: Vec<PathBuf>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// The span of the whole listing.
    span: Span,
}

impl Imported {
    /// The graph as an unchecked network.
    pub fn network(&self, name: &str) -> Network {
        Network {
            name: name.to_owned(),
            span: self.span,
            graph: self.graph.clone(),
            stages: Vec::new(),
            shortcuts: Vec::new(),
            labeled: Vec::new(),
            expects: Vec::new(),
            preprocess: self.preprocess(),
            labels: self.labels.clone(),
            weights: None,
            precision: Precisions::default(),
            recipe: None,
        }
    }

    /// The preprocessing in the metadata, if it fits the input.
    fn preprocess(&self) -> Option<Preprocess> {
        let Op::Input(shape) = &self.graph.node(*self.graph.inputs().first()?).op else { return None };
        metadata::preprocess(&self.metadata, shape)
    }

    /// The tensors as parameters of the network.
    pub fn params(&self) -> ParamStore {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }
}

/// Opens an ONNX file.
pub fn open(path: &Path) -> Result<Imported, OnnxError> {
    open_with(path, &ReadOptions::default())
}

/// Opens an ONNX file with options.
pub fn open_with(path: &Path, options: &ReadOptions) -> Result<Imported, OnnxError> {
    let bytes = Bytes::map(path).map_err(|source| OnnxError::Io { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let linked = std::fs::canonicalize(path).ok().and_then(|real| Some(real.parent()?.to_owned()));
    read(&bytes, folder, &ReadOptions { linked, ..options.clone() }).map_err(|error| match (&error, kind::of_model(&bytes)) {
        (OnnxError::Damaged { .. } | OnnxError::TooLarge { .. }, Some(found)) => OnnxError::Other { found },
        _ => error,
    })
}

/// Imports the contents of an ONNX file. External data is only read from files in `folder` or below. Symbolic links may only lead into the
/// folder of the actual file.
pub fn read(file: &Bytes, folder: &Path, options: &ReadOptions) -> Result<Imported, OnnxError> {
    let damaged = |reason: String| OnnxError::Damaged { reason };
    limits::check(file)?;
    // the values of tensors become slices of these bytes, which are slices of the file
    let buffer = prost::bytes::Bytes::from_owner(Shared(file.clone()));
    let mut model = ModelProto::decode(buffer).map_err(|error| damaged(error.to_string()))?;
    if let Some(graph) = model.graph.as_mut().filter(|_| !options.outputs.is_empty()) {
        outputs::cut(graph, &options.outputs)?;
    }
    let graph = model.graph.as_ref().ok_or_else(|| damaged("it contains no graph".to_owned()))?;
    if model.opset_import.is_empty() {
        return Err(damaged("it does not state its opset version".to_owned()));
    }
    let opset = model.opset_import.iter().find(|set| matches!(set.domain(), "" | "ai.onnx")).map_or(1, |set| set.version());
    let functions: HashSet<(&str, &str)> = model.functions.iter().map(|f| (f.domain(), f.name())).collect();
    let mut reader = TensorReader::new(file, folder, options.linked.as_deref());
    let mut importer = Importer::new(graph, options, opset)?;
    importer.constants(graph, options, &mut reader)?;
    importer.inputs(graph, options);
    for &index in &sorted(graph)? {
        let node = &graph.node[index];
        importer.node(index, node, functions.contains(&(node.domain(), node.op_type())), &mut reader)?;
    }
    importer.outputs(graph);
    importer.recognize();
    let classes = importer.classes();
    let mut imported = importer.finish()?;
    imported.data_files = reader.files();
    imported.metadata = model.metadata_props.iter().map(|p| (p.key().to_owned(), p.value().to_owned())).collect();
    let (labels, note) = metadata::labels(&imported.metadata, classes);
    imported.labels = labels;
    imported.notes.extend(note);
    Ok(imported)
}

/// Reads a file with a single tensor, as in ONNX's operator tests, and returns its name too.
pub fn read_tensor(file: &Bytes) -> Result<(String, Tensor), OnnxError> {
    let buffer = prost::bytes::Bytes::from_owner(Shared(file.clone()));
    let proto = TensorProto::decode(buffer).map_err(|error| OnnxError::Damaged { reason: error.to_string() })?;
    let tensor = TensorReader::new(file, Path::new(""), None).read(&proto)?;
    Ok((proto.name().to_owned(), tensor))
}

/// Shares the bytes of the file with `prost`.
struct Shared(Bytes);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Imports a file node by node.
struct Importer<'a> {
    graph: Graph,
    /// The shape of each node in the graph.
    shapes: Vec<Shape>,
    values: HashMap<&'a str, Known>,
    /// How often each value is read, including as an output.
    uses: HashMap<&'a str, usize>,
    /// Values of the network with a name that is not read exactly once: the same value may have several names.
    shared: HashSet<Value>,
    tensors: BTreeMap<String, Tensor>,
    names: Names,
    functions: Functions,
    library: Library,
    /// The name and the operator in the file of each elementwise node of the graph.
    origins: HashMap<NodeId, (String, String)>,
    unsupported: Unsupported,
    notes: BTreeSet<String>,
    transposed: Vec<String>,
    /// Inputs whose only use is flattened to a row.
    rows: HashSet<&'a str>,
    /// Values that only operators read which take any axes.
    any_axes: HashSet<&'a str>,
    /// Powers that are part of a generalized mean.
    powers: HashSet<&'a str>,
    /// Values that one operation on two values reads, with the other one.
    operands: HashMap<&'a str, &'a str>,
    /// Values that only operators read which take channels that come last.
    channels_last: HashSet<&'a str>,
    /// The outputs.
    outputs: HashSet<&'a str>,
    /// Values whose only use is an instance norm.
    normalized: HashSet<&'a str>,
    opset: i64,
    keep_names: bool,
    /// The tensors of the file, if their names are kept.
    originals: HashMap<String, Tensor>,
    /// The weight of the file that each computed constant comes from, if names are kept.
    weights: HashMap<String, String>,
    /// How the last weight with gains is standardized.
    standardize: Option<Standardize>,
    /// Whether the channels of an input come last in the file, and first here.
    is_turned: bool,
    /// The shapes of values that the file states.
    stated: HashMap<&'a str, &'a ValueInfoProto>,
    /// The number of values that constants took to evaluate.
    work: usize,
    /// How often each value is still read by nodes that follow, or as an output.
    left: HashMap<&'a str, usize>,
    /// The sizes of the batch axes, if the file states them.
    batch: Vec<Option<i64>>,
    name: &'a str,
    sources: SourceMap,
    file: FileId,
    /// The line of each node, by its index.
    lines: Vec<Span>,
    /// The line of the current node.
    span: Span,
}

impl<'a> Importer<'a> {
    fn new(graph: &'a GraphProto, options: &ReadOptions, opset: i64) -> Result<Importer<'a>, OnnxError> {
        if graph.node.len() > MAX_NODES {
            return Err(OnnxError::TooLarge { reason: format!("it has more than {MAX_NODES} nodes") });
        }
        let (text, ranges) = listing(graph);
        let mut sources = SourceMap::default();
        let file = sources.add_text("nodes of the ONNX file", text);
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let outputs = graph.output.iter().map(|o| o.name());
        for name in graph.node.iter().flat_map(|n| n.input.iter().map(String::as_str)).chain(outputs) {
            *uses.entry(name).or_default() += 1;
        }
        let norms = graph.node.iter().filter(|node| node.op_type() == "InstanceNormalization");
        let normalized = norms.filter_map(|node| node.input.first()).map(String::as_str).filter(|name| uses[name] == 1).collect();
        Ok(Importer {
            graph: Graph::default(),
            shapes: Vec::new(),
            values: HashMap::new(),
            left: uses.clone(),
            uses,
            shared: HashSet::new(),
            tensors: BTreeMap::new(),
            names: Names::default(),
            functions: Functions::default(),
            library: Library::default(),
            origins: HashMap::new(),
            unsupported: Unsupported::default(),
            notes: BTreeSet::new(),
            transposed: Vec::new(),
            rows: HashSet::new(),
            powers: readers::powers(graph),
            operands: readers::other_operands(graph),
            any_axes: readers::read_only_by(graph, readers::takes_any_axes),
            channels_last: readers::read_only_by(graph, |node, _| readers::takes_channels_last(node.op_type())),
            outputs: graph.output.iter().map(|output| output.name()).collect(),
            normalized,
            opset,
            keep_names: options.keep_names,
            originals: HashMap::new(),
            weights: HashMap::new(),
            standardize: None,
            is_turned: false,
            stated: graph.value_info.iter().map(|info| (info.name(), info)).collect(),
            work: 0,
            batch: vec![None; options.batch_axes],
            name: graph.name(),
            lines: ranges.into_iter().map(|range| Span::new(file, range)).collect(),
            span: Span::new(file, 0..0),
            sources,
            file,
        })
    }

    /// Reads initializers, and inputs with given values.
    fn constants(
        &mut self,
        graph: &'a GraphProto,
        options: &ReadOptions,
        reader: &mut TensorReader<'_>,
    ) -> Result<(), OnnxError> {
        for proto in &graph.initializer {
            let name = proto.name();
            // unused tensors may have any type
            if !self.uses.contains_key(name) {
                continue;
            }
            let tensor = reader.read(proto)?;
            if options.keep_names {
                self.originals.insert(name.to_owned(), tensor.clone());
            }
            if self.values.insert(name, Known::Tensor(name.to_owned(), tensor)).is_some() {
                return Err(OnnxError::Damaged { reason: format!("two tensors are named `{name}`") });
            }
        }
        for input in &graph.input {
            if let Some((name, tensor)) = options.given.iter().find(|(name, _)| name == input.name()) {
                self.values.insert(input.name(), Known::Tensor(name.clone(), tensor.clone()));
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        index: usize,
        node: &'a NodeProto,
        is_function: bool,
        reader: &mut TensorReader<'_>,
    ) -> Result<(), OnnxError> {
        self.span = self.lines[index];
        let call = Call::new(node, index);
        if let Some(name) = node.output.iter().find(|name| !name.is_empty() && self.values.contains_key(name.as_str())) {
            return Err(OnnxError::Damaged { reason: format!("two nodes produce `{name}`") });
        }
        let result = if is_function || !matches!(node.domain(), "" | "ai.onnx") {
            Err(format!(
                "it is an operator of {}",
                if node.domain().is_empty() { "the file itself".to_owned() } else { format!("`{}`", node.domain()) }
            ))
        } else if node.op_type() == "Constant" {
            self.constant(&call, reader)?.map(|known| vec![known])
        } else {
            self.results(&call)
        };
        let results = result.unwrap_or_else(|reason| {
            if !reason.is_empty() {
                self.unsupported.add(node.op_type(), &call.name(), reason);
            }
            vec![Known::Failed]
        });
        for (i, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let mut known = results.get(i).cloned().unwrap_or(Known::Failed);
            if i >= results.len()
                && self.uses.contains_key(name.as_str())
                && !matches!(self.values.get(node.output[0].as_str()), Some(Known::Failed))
            {
                let reason = format!("its output `{name}` is read, but only the first output is supported");
                self.unsupported.add(node.op_type(), &call.name(), reason);
            }
            if let (Known::Failed, Some(stand_in)) = (&known, self.stand_in(name)) {
                known = stand_in;
            }
            if let Some(flow) = known.flow().filter(|_| self.uses.get(name.as_str()) != Some(&1)) {
                self.shared.insert(flow.value);
            }
            self.values.insert(name, known);
        }
        self.release(node);
        Ok(())
    }

    /// A value in the place of one that cannot be expressed, if the file states its shape, so that what reads it is judged too. The
    /// import fails all the same.
    fn stand_in(&mut self, name: &'a str) -> Option<Known> {
        if self.unsupported.rows.is_empty() {
            return None;
        }
        let lead = self.batch.len();
        let shape = self.input(self.stated.get(name)?, lead, 0, false).ok()?;
        let value: Value = self.push(Op::Input(shape.clone()), name.to_owned(), &[], shape.clone()).into();
        Some(Known::Value(Flow { value, shape, lead }))
    }

    /// Drops the constants that a node was the last to read: evaluated weights take memory.
    fn release(&mut self, node: &'a NodeProto) {
        for name in &node.input {
            let Some(left) = self.left.get_mut(name.as_str()) else { continue };
            *left = left.saturating_sub(1);
            if *left == 0 && matches!(self.values.get(name.as_str()), Some(Known::Tensor(..))) {
                self.values.remove(name.as_str());
            }
        }
    }

    /// The number of channels of the main output.
    fn classes(&self) -> Option<usize> {
        let (_, value) = self.graph.outputs().first()?;
        self.shapes.get(value.node.index())?.channels()
    }

    fn finish(self) -> Result<Imported, OnnxError> {
        if !self.unsupported.rows.is_empty() {
            return Err(OnnxError::Unsupported(self.unsupported.sorted()));
        }
        if self.graph.inputs().is_empty() {
            return Err(OnnxError::Damaged { reason: "no output depends on an input".to_owned() });
        }
        let end = self.sources.file(self.file).text.len();
        Ok(Imported {
            name: self.name.to_owned(),
            graph: self.graph,
            tensors: self.tensors,
            span: Span::new(self.file, 0..end),
            sources: self.sources,
            metadata: BTreeMap::new(),
            labels: Vec::new(),
            transposed: self.transposed,
            data_files: Vec::new(),
            notes: self.notes.into_iter().collect(),
        })
    }

    /// Adds an operator to the graph; an error if its operands do not fit.
    fn add(&mut self, call: &Call<'_>, op: Op, operands: &[&Flow]) -> Result<Flow, String> {
        let name = names::of_node(call.node.name(), call.node.op_type(), op.word());
        let is_elementwise = op.as_elementwise().is_some();
        let flow = self.add_named(op, name, operands)?;
        if is_elementwise {
            self.origins.insert(flow.value.node, (call.node.name().to_owned(), call.node.op_type().to_owned()));
        }
        Ok(flow)
    }

    fn add_named(&mut self, op: Op, name: String, operands: &[&Flow]) -> Result<Flow, String> {
        let lead = operands.first().map_or(self.batch.len(), |x| x.lead);
        if operands.iter().any(|x| x.lead != lead) {
            return Err("its operands have different numbers of batch axes".to_owned());
        }
        let shapes: Vec<Shape> = operands.iter().map(|x| x.shape.clone()).collect();
        let shape = infer_shape(&op, &shapes).map_err(|error| error.to_string())?;
        if self.graph.len() >= MAX_NODES {
            return Err(format!("the network would have more than {MAX_NODES} operators"));
        }
        let name = self.names.fresh(name);
        let reads: Vec<Value> = operands.iter().map(|x| x.value).collect();
        let value = self.push(op, name, &reads, shape.clone()).into();
        Ok(Flow { value, shape, lead })
    }

    fn push(&mut self, op: Op, name: String, reads: &[Value], shape: Shape) -> NodeId {
        let origin = Origin { span: self.span, frame: None };
        self.shapes.push(shape);
        self.graph.add(Node { op, name, params: Vec::new(), precision: Precision::F32, origin }, reads)
    }

    /// Whether an operand is only read here, under any of its names, so that the node that produces it may be changed.
    fn is_single_use(&self, call: &Call<'_>, slot: usize, x: &Flow) -> bool {
        let is_read_once = |name: &str| self.uses.get(name) == Some(&1);
        call.node.input.get(slot).is_some_and(|name| is_read_once(name))
            && self.graph.users(x.value).is_empty()
            && !self.shared.contains(&x.value)
    }
}

/// A listing with a line per node.
fn listing(graph: &GraphProto) -> (String, Vec<std::ops::Range<usize>>) {
    let mut text = String::new();
    let mut ranges = Vec::new();
    for node in &graph.node {
        let start = text.len();
        text.push_str(&format!("{} {}({}) -> {}", node.op_type(), node.name(), node.input.join(", "), node.output.join(", ")));
        ranges.push(start..text.len());
        text.push('\n');
    }
    (text, ranges)
}
