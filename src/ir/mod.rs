//! The intermediate representation: operators and their attributes, shapes and shape inference, the graph,
//! and the metadata for using a network. Front ends build it, passes rewrite it, and the planner reads it.

mod attrs;
mod conv_transpose;
mod custom;
pub mod describe;
mod dim;
pub mod dot;
pub mod dump;
mod elementwise;
mod gem;
mod graph;
pub mod imagenet;
pub mod infer;
mod naming;
mod network;
pub mod one_dimensional;
mod op;
pub mod ops;
mod params;
mod phase;
mod precision;
mod precisions;
mod rearrange;
mod recipe;
mod row_loops;
mod standardize;
pub mod summary;
mod tensor_type;
mod train;
mod types;
mod upsample;

pub use attrs::*;
pub use conv_transpose::ConvTranspose;
pub use custom::{Chunk, Custom, CustomOp, Reference, Slice, SliceMut};
pub use dim::{Axis, Dim, Shape};
pub use elementwise::{Broadcast, Elementwise, Number, Operand};
pub use graph::{Frame, FrameId, Graph, Node, NodeId, Origin, Value};
pub use infer::{ShapeError, infer, infer_shape};
pub use naming::{LayerNumbers, is_within};
pub use network::{
    Channels, Expect, ExpectValue, MapRule, Metric, Network, Preprocess, Resampling, Shortcut, ShortcutUse, Stage,
};
pub use op::Op;
pub use ops::{Arity, AttrValue, Attributes, Schema};
pub(crate) use params::of_norm;
pub use params::{FilterAxis, Param, ParamRole, ParamSource};
pub(crate) use phase::Rewrite;
pub use phase::{Canonical, Checked, Plannable, Runnable, ShapedNetwork};
pub use precision::Precision;
pub use precisions::Precisions;
pub use rearrange::{Moves, Rearrange, SquareOrder, Squares, reshaped, shape_text};
pub use recipe::{Augment, Count, Init, Initial, Loss, OnError, Recipe, Schedule, Sgd, Warmup, WeightsFrom};
pub use row_loops::{RowLoop, RowsError, Unit, units};
pub use tensor_type::{Rows, TensorType};
pub use train::Train;
pub use types::Types;
pub use upsample::{Interpolation, Target, Upsample};
