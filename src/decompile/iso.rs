//! Compares two networks, and finds the corresponding nodes.

use super::net::{Id, Net};
use crate::ir::Op;

/// For each node of `a`, the corresponding node of `b`; `None` if the networks differ. The operands of a sum, and of a product of two
/// values of the same shape, may be swapped, which does not change a bit of the result; everything else must match.
pub(super) fn same(a: &Net, b: &Net) -> Option<Vec<Id>> {
    if a.nodes.len() != b.nodes.len() || a.inputs.len() != b.inputs.len() || a.outputs.len() != b.outputs.len() {
        return None;
    }
    let (hash_a, hash_b) = (hashes(a), hashes(b));
    let mut to: Vec<Option<Id>> = vec![None; a.nodes.len()];
    let mut back: Vec<Option<Id>> = vec![None; b.nodes.len()];
    let mut open: Vec<(Id, Id)> = a.inputs.iter().copied().zip(b.inputs.iter().copied()).collect();
    for (i, (name, x)) in a.outputs.iter().enumerate() {
        let at = b.outputs.iter().position(|(other, _)| other == name)?;
        // the main output comes first
        if i == 0 && at != 0 {
            return None;
        }
        open.push((*x, b.outputs[at].1));
    }
    while let Some((x, y)) = open.pop() {
        match (to[x], back[y]) {
            (Some(seen), Some(_)) if seen == y => continue,
            (None, None) => {}
            _ => return None,
        }
        let (m, n) = (a.node(x), b.node(y));
        if m.op != n.op || hash_a[x] != hash_b[y] || m.operands.len() != n.operands.len() {
            return None;
        }
        (to[x], back[y]) = (Some(y), Some(x));
        let in_order = m.operands.iter().zip(&n.operands).all(|(&p, &q)| match (to[p], back[q]) {
            (None, None) => hash_a[p] == hash_b[q],
            (seen, _) => seen == Some(q),
        });
        let mut theirs = n.operands.clone();
        if !in_order && commutes(a, x) {
            theirs.reverse();
        }
        open.extend(m.operands.iter().copied().zip(theirs));
    }
    to.into_iter().collect()
}

/// Whether the two operands of a node can be swapped.
fn commutes(net: &Net, id: Id) -> bool {
    let node = net.node(id);
    let [p, q] = node.operands[..] else { return false };
    node.op.is_add() || node.op.is_mul() && net.node(p).shape == net.node(q).shape
}

/// A hash of each node and everything that it is computed from.
fn hashes(net: &Net) -> Vec<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut list: Vec<u64> = Vec::with_capacity(net.nodes.len());
    for (id, node) in net.nodes.iter().enumerate() {
        let mut hasher = DefaultHasher::new();
        // with its arguments: the operands of a sum may differ in their kernels alone
        format!("{:?}", net.statement(id)).hash(&mut hasher);
        node.shape.hash(&mut hasher);
        if matches!(node.op, Op::Input(_)) {
            net.inputs.iter().position(|&input| input == id).hash(&mut hasher);
        }
        let mut operands: Vec<u64> = node.operands.iter().map(|&o| list[o]).collect();
        if commutes(net, id) {
            operands.sort_unstable();
        }
        operands.hash(&mut hasher);
        list.push(hasher.finish());
    }
    list
}
