//! Parameters, sessions, the run loop; and the naive oracle.
