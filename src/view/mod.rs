//! A network as a page to look at: the graph by stages, what its layers cost, the source beside it.
//!
//! [`ViewModel`] is what the page shows, as plain data; [`page()`] puts it into one file of HTML that needs nothing else, and [`Server`]
//! hands that out on this machine alone, with news whenever the model changes. The layout is the page's own: it depends on what
//! the reader has opened.

mod groups;
mod html;
mod model;
mod serve;

pub use html::{Live, page};
pub use model::{Broken, Content, Group, GroupKind, Place, Profile, SourceText, Step, ViewModel, ViewNode};
pub use serve::{ServeError, Server};

#[cfg(test)]
mod tests;
