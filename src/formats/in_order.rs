//! Finds the names that tensors of a checkpoint would have in a network if their order is the same: `0.weight` of a `Sequential` is
//! `conv1.weight`. This is a guess that a message shows: nothing is bound by order.

use std::collections::BTreeMap;

use super::rename::Rename;

/// The maximum number of steps of a search.
const MAX_STEPS: usize = 100_000;

/// The maximum number of parts of a name.
const MAX_PARTS: usize = 32;

/// The tensors under a name: itself, or those whose names continue it, in order.
#[derive(Default)]
struct Tree<'n> {
    sizes: Option<&'n [usize]>,
    children: Vec<(&'n str, Tree<'n>)>,
    at: BTreeMap<&'n str, usize>,
}

impl<'n> Tree<'n> {
    /// The tree of tensors in order; `None` if a name is inside another or has too many parts.
    fn of(tensors: &[(&'n str, &'n [usize])]) -> Option<Tree<'n>> {
        let mut root = Tree::default();
        for (name, sizes) in tensors {
            if name.split('.').count() > MAX_PARTS {
                return None;
            }
            let mut node = &mut root;
            for part in name.split('.') {
                let next = node.children.len();
                let at = *node.at.entry(part).or_insert(next);
                if at == next {
                    node.children.push((part, Tree::default()));
                }
                node = &mut node.children.get_mut(at)?.1;
            }
            node.sizes = Some(sizes);
        }
        Some(root)
    }

    fn child(&self, part: &str) -> Option<&Tree<'n>> {
        self.children.get(*self.at.get(part)?).map(|(_, child)| child)
    }
}

struct Search {
    /// Whether the order of the file means something, so that its first tensor is that of the first layer.
    is_ordered: bool,
    steps: usize,
    found: Vec<(String, String)>,
}

/// The renames under which the tensors of a file are those of a network, each in its order; `None` if order and sizes do not fit, or if
/// `is_ordered` is false and the names leave several ways. The last layers may be only in one of both.
pub(super) fn renames(there: &[(&str, &[usize])], here: &[(&str, &[usize])], is_ordered: bool) -> Option<Vec<Rename>> {
    let mut search = Search { is_ordered, steps: 0, found: Vec::new() };
    let (there, here) = (Tree::of(there)?, Tree::of(here)?);
    let is_found = search.align((&there, ""), (&here, ""), true);
    let found = search.found.into_iter().map(|(old, new)| Rename { old, new });
    (is_found && found.len() > 0).then(|| found.collect())
}

/// A tree, and those that are all there is in the one before.
fn chain<'t, 'n>(tree: &'t Tree<'n>, name: &str) -> Vec<(&'t Tree<'n>, String)> {
    let mut chain = vec![(tree, name.to_owned())];
    while let Some((Tree { children, .. }, name)) = chain.last()
        && let [(part, child)] = &children[..]
    {
        let name = joined(name, part);
        chain.push((child, name));
    }
    chain
}

/// Whether one number is at least half of the other, so that what fits is not by chance.
fn is_most(a: usize, b: usize) -> bool {
    2 * a.min(b) >= a.max(b)
}

fn joined(parent: &str, part: &str) -> String {
    if parent.is_empty() { part.to_owned() } else { format!("{parent}.{part}") }
}

impl Search {
    /// Whether two trees have the same names and sizes.
    fn same(&mut self, a: &Tree<'_>, b: &Tree<'_>) -> bool {
        self.steps += 1;
        a.sizes == b.sizes
            && a.children.len() == b.children.len()
            && a.children.iter().all(|(part, child)| b.child(part).is_some_and(|other| self.same(child, other)))
    }

    /// Whether one tree is the other under another name. A weight is no bias.
    fn fits(&mut self, (there, old): &(&Tree<'_>, String), (here, new): &(&Tree<'_>, String)) -> bool {
        let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
        (there.sizes.is_none() || last(old) == last(new)) && self.same(there, here)
    }

    /// Finds the renames between two trees; `may_end` if the last ones may be only in one of both.
    fn align(&mut self, (there, old): (&Tree<'_>, &str), (here, new): (&Tree<'_>, &str), may_end: bool) -> bool {
        if self.steps > MAX_STEPS {
            return false;
        }
        // a `Sequential` around a layer is a tree with one child
        let (theirs, ours) = (chain(there, old), chain(here, new));
        let mut pairs: Vec<(usize, usize)> = (0..theirs.len()).flat_map(|i| (0..ours.len()).map(move |j| (i, j))).collect();
        pairs.sort_by_key(|(i, j)| i + j);
        if let Some((i, j)) = pairs.into_iter().find(|&(i, j)| self.fits(&theirs[i], &ours[j])) {
            if theirs[i].1 != ours[j].1 {
                self.found.push((theirs[i].1.clone(), ours[j].1.clone()));
            }
            return true;
        }
        match (theirs.last(), ours.last()) {
            (Some((there, old)), Some((here, new))) => self.children((there, old), (here, new), may_end),
            _ => false,
        }
    }

    fn children(&mut self, (there, old): (&Tree<'_>, &str), (here, new): (&Tree<'_>, &str), may_end: bool) -> bool {
        if there.sizes.is_some() || here.sizes.is_some() {
            return false;
        }
        let theirs: Vec<_> = there.children.iter().filter(|(part, _)| here.child(part).is_none()).collect();
        let ours: Vec<_> = here.children.iter().filter(|(part, _)| there.child(part).is_none()).collect();
        if theirs.len() != ours.len() && !(may_end && is_most(theirs.len(), ours.len())) || !self.order(&theirs, &ours) {
            return false;
        }
        let both = there.children.iter().filter_map(|(part, child)| Some((part, child, here.child(part)?)));
        let mut both = both.collect::<Vec<_>>().into_iter();
        both.all(|(part, a, b)| self.align((a, &joined(old, part)), (b, &joined(new, part)), false))
            && theirs
                .iter()
                .zip(&ours)
                .all(|((there, a), (here, b))| self.align((a, &joined(old, there)), (b, &joined(new, here)), false))
    }

    /// Whether the order of a file's names says which is which.
    fn order(&mut self, theirs: &[&(&str, Tree<'_>)], ours: &[&(&str, Tree<'_>)]) -> bool {
        let is_number = |(part, _): &&(&str, Tree<'_>)| part.parse::<usize>().is_ok();
        if self.is_ordered || theirs.len() <= 1 && ours.len() <= 1 {
            return true;
        }
        theirs.iter().all(is_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: &[usize] = &[4];
    const W: &[usize] = &[4, 3, 3];

    fn found(there: &[(&str, &[usize])], here: &[(&str, &[usize])], is_ordered: bool) -> Option<String> {
        let renames = renames(there, here, is_ordered)?;
        Some(renames.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn sequences_are_aligned() {
        let fc = [("fc.weight", W), ("fc.bias", V)];
        assert_eq!(found(&[("fc.1.weight", W), ("fc.1.bias", V)], &fc, false).unwrap(), "fc.1=fc");
        assert_eq!(found(&[("fc.0.1.bias", V), ("fc.0.1.weight", W)], &fc, false).unwrap(), "fc.0.1=fc");
        assert_eq!(found(&[("weight", W), ("bias", V)], &fc, false).unwrap(), "=fc");
        let net = [("conv1.weight", W), ("bn1.weight", V), ("layer1.0.conv1.weight", W), ("layer1.0.bn1.weight", V)];
        let sequential = [("0.weight", W), ("1.weight", V), ("4.0.bn1.weight", V), ("4.0.conv1.weight", W)];
        assert_eq!(found(&sequential, &net, false).unwrap(), "0=conv1 1=bn1 4=layer1");
        // without the head
        let with_head = [&net[..], &fc].concat();
        assert_eq!(found(&sequential, &with_head, false).unwrap(), "0=conv1 1=bn1 4=layer1");
        assert_eq!(found(&with_head, &sequential, true).unwrap(), "conv1=0 bn1=1 layer1=4");
    }

    #[test]
    fn what_does_not_fit_is_not_aligned() {
        let net = [("a.weight", W), ("b.weight", W)];
        let file = [("x.weight", W), ("y.weight", W)];
        assert_eq!(found(&file, &net, true).unwrap(), "x=a y=b");
        assert_eq!(found(&file, &net, false), None);
        assert_eq!(found(&[("0.weight", V), ("1.weight", W)], &net, true), None);
        assert_eq!(found(&[("0.weight", W), ("1.bias", W)], &net, true), None);
        assert_eq!(found(&net, &net, true), None);
    }

    #[test]
    fn many_names_take_little_time() {
        let deep = |first: &str| -> Vec<String> {
            (0..2000).map(|i| format!("{first}.{}", vec![(i % 7).to_string(); 30].join("."))).collect()
        };
        let (a, b) = (deep("a"), deep("b"));
        let list = |names: &[String]| -> Vec<(String, Vec<usize>)> { names.iter().map(|n| (n.clone(), vec![n.len()])).collect() };
        let (a, b) = (list(&a), list(&b));
        let refs = |list: &'static [(String, Vec<usize>)]| -> Vec<(&'static str, &'static [usize])> {
            list.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect()
        };
        let (a, b) = (refs(a.leak()), refs(b.leak()));
        assert!(renames(&a, &b, true).is_some());
    }
}
