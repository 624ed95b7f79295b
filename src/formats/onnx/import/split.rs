//! Imports `Split`, which has several results: slices of the channels.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::Known;
use crate::ir::Op;

impl Importer<'_> {
    /// The results of a `Split`.
    pub(super) fn split(&mut self, call: &Call<'_>) -> ImportResult<Vec<Known>> {
        if matches!(self.known(call, 0), Some(Known::Failed)) {
            return Err(String::new());
        }
        let (x, is_last) = match self.known(call, 0) {
            Some(Known::ChannelsLast(x)) => (x.clone(), true),
            _ => (self.flow(call, 0)?, false),
        };
        let axis = x.axis(call.int("axis").unwrap_or(0))?;
        let own = if is_last { x.rank() - 1 } else { x.lead };
        let channels = x.shape.channels().filter(|_| axis == own);
        let channels = channels.ok_or_else(|| format!("it splits axis {axis}, but the language's `slice` the channels"))?;
        let counts = match self.list(call, "split", 1)? {
            Some(list) => {
                list.iter().map(|&n| usize::try_from(n).map_err(|_| "a share is negative")).collect::<Result<Vec<_>, _>>()?
            }
            None => equal(channels, call.node.output.len()),
        };
        let sum = counts.iter().try_fold(0usize, |sum, &count| sum.checked_add(count));
        if sum != Some(channels) || counts.len() < call.node.output.len() {
            return Err(format!("its shares {counts:?} do not add up to {channels} channels"));
        }
        let mut start = 0;
        let mut results = Vec::new();
        for (count, name) in counts.into_iter().zip(&call.node.output) {
            // results that nobody reads may be without a name
            let is_read = self.uses.contains_key(name.as_str());
            let known = if is_last { Known::ChannelsLast } else { Known::Value };
            let slice = |this: &mut Self| this.add(call, Op::Slice(start..start + count), &[&x]).map(known);
            results.push(if is_read { slice(self)? } else { Known::Failed });
            start += count;
        }
        Ok(results)
    }
}

/// Shares of the same size, where the last one may be smaller.
fn equal(channels: usize, outputs: usize) -> Vec<usize> {
    let each = channels.div_ceil(outputs.max(1));
    (0..outputs).map(|i| each.min(channels.saturating_sub(i * each))).collect()
}
