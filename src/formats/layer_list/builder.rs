//! Builds the graph of a list of layers.

use std::collections::BTreeMap;

use super::super::names::{Functions, Names, clean};
use crate::base::source::Span;
use crate::base::tensor::{Tensor, count};
use crate::elaborate::MAX_NODES;
use crate::elementwise::{Builder as Program, Register};
use crate::ir::{Broadcast, Elementwise, Graph, Node, NodeId, Op, Origin, Precision, Shape, Value, infer_shape};

/// The most characters of a name: a layer of a long name may yield many values.
const MAX_NAME: usize = 200;

/// A value of the network.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Flow {
    pub value: Value,
    /// Channels, height and width; or features.
    pub sizes: Vec<usize>,
}

impl Flow {
    /// The number of channels, or of features.
    pub fn channels(&self) -> usize {
        self.sizes.first().copied().unwrap_or(0)
    }

    /// Height and width; `None` for features.
    pub fn map(&self) -> Option<[usize; 2]> {
        match self.sizes[..] {
            [_, height, width] => Some([height, width]),
            _ => None,
        }
    }

    /// The number of values of a sample.
    pub fn values(&self) -> usize {
        count(&self.sizes).unwrap_or(usize::MAX)
    }

    /// The sizes as a text.
    pub fn shown(&self) -> String {
        Shape::fixed(&self.sizes).to_string()
    }
}

/// The graph and its tensors.
pub(in super::super) struct Builder {
    pub graph: Graph,
    pub tensors: BTreeMap<String, Tensor>,
    names: Names,
    functions: Functions,
    /// The place of the current layer.
    span: Span,
}

impl Builder {
    pub fn new(span: Span) -> Builder {
        Builder {
            graph: Graph::default(),
            tensors: BTreeMap::new(),
            names: Names::default(),
            functions: Functions::default(),
            span,
        }
    }

    /// What follows comes from this place.
    pub fn at(&mut self, span: Span) {
        self.span = span;
    }

    /// An input of a known size.
    pub fn input(&mut self, name: &str, sizes: &[usize]) -> Result<Flow, String> {
        self.add(Op::Input(Shape::fixed(sizes)), name, &[])
    }

    /// Adds an operator with a name like this one; an error if its operands do not fit.
    pub fn add(&mut self, op: impl Into<Op>, name: &str, operands: &[&Flow]) -> Result<Flow, String> {
        let op = op.into();
        let shapes: Vec<Shape> = operands.iter().map(|x| Shape::fixed(&x.sizes)).collect();
        let shape = infer_shape(&op, &shapes).map_err(|error| error.to_string())?;
        let sizes = shape.sizes().ok_or("its size is not known")?;
        if self.graph.len() >= MAX_NODES {
            return Err(format!("the network would have more than {MAX_NODES} operators"));
        }
        let name = clean(&name.chars().take(MAX_NAME).collect::<String>());
        let name = self.names.fresh(if name.is_empty() { op.word().to_owned() } else { name });
        let origin = Origin { span: self.span, frame: None };
        let reads: Vec<Value> = operands.iter().map(|x| x.value).collect();
        let value = self.graph.add(Node { op, name, params: Vec::new(), precision: Precision::F32, origin }, &reads).into();
        Ok(Flow { value, sizes })
    }

    /// Adds a function of values of equal size that the library does not have. Functions of several values are called `word`.
    pub fn compute(
        &mut self,
        word: &str,
        name: &str,
        operands: &[&Flow],
        make: impl FnOnce(&mut Program, &[Register]) -> Register,
    ) -> Result<Flow, String> {
        let mut program = Program::new(operands.len());
        let registers: Vec<Register> = (0..operands.len()).map(|slot| program.operand(slot)).collect();
        let result = make(&mut program, &registers);
        let program = program.finish(result).map_err(|error| error.to_string())?;
        let function = match operands.len() {
            1 => Elementwise::unary(Elementwise::APPLY, program),
            count => self.functions.named(&Elementwise::new(word, vec![Broadcast::Full; count], program)),
        };
        self.add(function, name, operands)
    }

    /// A value as features.
    pub fn flat(&mut self, x: &Flow, name: &str) -> Result<Flow, String> {
        if x.sizes.len() == 1 { Ok(x.clone()) } else { self.add(Op::Flatten, &format!("{name}_flatten"), &[x]) }
    }

    /// The node of a value.
    pub fn node(&self, x: &Flow) -> NodeId {
        x.value.node
    }

    /// Stores a parameter of the layer that yields a value.
    pub fn store(&mut self, layer: &Flow, role: &str, tensor: Tensor) {
        let name = format!("{}.{role}", self.graph.node(layer.value.node).name);
        self.tensors.insert(name, tensor);
    }

    /// Stores the same number for each channel.
    pub fn fill(&mut self, layer: &Flow, role: &str, value: f32) {
        let channels = layer.channels();
        if let Some(tensor) = Tensor::from_f32(vec![channels], vec![value; channels]) {
            self.store(layer, role, tensor);
        }
    }
}
