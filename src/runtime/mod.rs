//! Parameters, sessions, the run loop; and the naive oracle.

pub mod error;
mod inputs;
pub mod interp;
mod outputs;
pub mod params;

pub use error::RunError;
pub use outputs::Outputs;
pub use params::{ParamError, ParamStore};
