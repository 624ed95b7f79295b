//! Shows a network as a web page: the graph by stages, the cost of its layers, and the source next to it.
//!
//! [`ViewModel`] is the data of the page; [`page()`] renders it to a single self-contained HTML file, and [`Server`] serves that
//! on this machine only, with events when the model changes. The page computes its own layout, which depends on what the user has
//! opened.

mod groups;
mod html;
mod model;
mod serve;

pub use groups::GroupKind;
pub use html::{Live, page};
pub use model::{Broken, Content, Group, Place, Profile, SourceText, Step, ViewModel, ViewNode};
pub use serve::{ServeError, Server};

#[cfg(test)]
mod tests;
