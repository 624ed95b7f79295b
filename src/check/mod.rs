//! Design rules, dimensions, expectations; seals a `Checked`.
