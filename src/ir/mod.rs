//! The intermediate representation: operators and their attributes, shapes and shape inference, the graph,
//! and the metadata for using a network. Front ends build it, passes rewrite it, and the planner reads it.

pub mod describe;
mod dim;
pub mod dot;
pub mod dump;
mod graph;
pub mod imagenet;
pub mod infer;
mod naming;
mod network;
mod op;
mod params;
mod recipe;
pub mod signal;
pub mod summary;
mod train;

pub use dim::{Axis, Dim, Shape};
pub use graph::{Frame, FrameId, Graph, Node, NodeId, Origin, Value};
pub use infer::{ShapeError, infer};
pub use naming::{LayerNumbers, is_within};
pub use network::{Channels, Checked, Expect, ExpectValue, MapRule, Metric, Network, Preprocess, Shortcut, ShortcutUse, Stage};
pub use op::*;
pub use params::{Param, ParamRole, ParamSource, macs, params};
pub use recipe::{Augment, Count, Init, Initial, Loss, OnError, Recipe, Schedule, Sgd, Warmup, WeightsFrom};
pub use train::Train;
