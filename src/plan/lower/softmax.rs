//! Softmax, over features, channels or groups of them.

use super::Lowering;
use crate::ir::Value;
use crate::plan::{Kernel, PlanError};

impl Lowering<'_> {
    /// The kernel of a softmax. Each group is one channel, whose elements are all of its channels.
    pub(super) fn softmax(&self, groups: Option<usize>, result: Value) -> Result<Kernel, PlanError> {
        let (channels, plane) = (self.shape(result)?[1], self.plane(result)?);
        let groups = groups.unwrap_or(channels);
        Ok(Kernel::Softmax { channels: groups, plane: channels / groups * plane })
    }
}
