//! Modules that differ only in numbers become one class, whose parameters are these numbers.

use std::collections::HashSet;

use super::body::Body;
use super::builder::{Arm, Builder, ShortcutSlot};
use super::error::TorchError;
use super::expr::{Arg, Expr, Hole, Role, Stmt, Val};
use super::names;
use super::scope::{ModuleId, ROOT};
use super::text::Text;

/// A class of modules.
pub(super) struct Class {
    name: String,
    doc: Option<String>,
    params: Vec<Param>,
    /// The name of the optional shortcut module that instances may be given.
    slot: Option<String>,
    inputs: Vec<String>,
    init: Vec<Stmt>,
    forward: Vec<Stmt>,
}

#[derive(Clone, Debug)]
struct Param {
    name: String,
    role: Role,
    default: Option<Val>,
    /// Whether `forward` reads it.
    used_in_forward: bool,
    /// One value per instance.
    values: Vec<Val>,
}

/// Where a number in a class comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    Omit,
    Literal(Val),
    /// A parameter, with a factor and a divisor.
    Param(usize, i64, i64),
}

/// Modules with the same code.
struct Group {
    members: Vec<(ModuleId, Body)>,
    skeleton: String,
    slot: Option<ShortcutSlot>,
}

/// Creates the classes of all modules, and records how each module is constructed in [`Builder::constructors`]. `name` is the network's
/// name.
pub(super) fn classes(builder: &mut Builder<'_, '_>, name: &str, doc: Option<&str>) -> Result<Vec<Class>, TorchError> {
    let mut taken = HashSet::new();
    let root = names::class(name, "Net");
    taken.insert(root.clone());
    taken.extend(builder.functions.names());
    let mut out = Vec::new();
    let mut left: Vec<ModuleId> = (1..builder.tree.modules.len()).filter(|&id| builder.tree.modules[id].called).collect();
    while !left.is_empty() {
        // process modules whose parts are known; sequences first, since shortcut modules are sequences
        let mut whole: Vec<ModuleId>;
        loop {
            let before = left.len();
            whole = Vec::new();
            left.retain(|&id| {
                if !is_ready(builder, id) {
                    return true;
                }
                builder.constructors[id] = builder.sequence(id);
                if builder.constructors[id].is_none() {
                    whole.push(id);
                }
                builder.constructors[id].is_none()
            });
            if left.len() == before {
                break;
            }
        }
        if whole.is_empty() {
            break;
        }
        left.retain(|id| !whole.contains(id));
        for group in merged(builder, groups(builder, whole)?)? {
            out.push(class(builder, group, &mut taken)?);
        }
    }
    let body = Body::of(builder, ROOT, None)?;
    let group = Group { skeleton: String::new(), members: vec![(ROOT, body)], slot: None };
    let mut class = assemble(builder, &group, root);
    class.doc = doc.map(str::to_owned);
    if let Some(classes) = builder.classes()
        && class.init.iter().any(has_classes)
    {
        let mut fill =
            |hole: &Hole| Some(if hole.role == Role::Classes { "num_classes".to_owned() } else { hole.value.to_string() });
        class.init = class.init.iter().map(|stmt| stmt.filled(&mut fill)).collect();
        let default = Some(Val::int(classes));
        class.params.push(Param {
            name: "num_classes".to_owned(),
            role: Role::Classes,
            default,
            used_in_forward: false,
            values: Vec::new(),
        });
    }
    out.push(class);
    Ok(out)
}

fn has_classes(stmt: &Stmt) -> bool {
    let mut found = false;
    stmt.holes(&mut |hole, _| found |= hole.role == Role::Classes);
    found
}

/// Whether all modules that this one is made of are known.
fn is_ready(builder: &Builder<'_, '_>, id: ModuleId) -> bool {
    fn known(builder: &Builder<'_, '_>, id: ModuleId) -> bool {
        let module = &builder.tree.modules[id];
        if module.called {
            builder.constructors[id].is_some()
        } else {
            module.children.iter().all(|&child| known(builder, child))
        }
    }
    builder.tree.modules[id].children.iter().all(|&child| known(builder, child))
}

fn groups(builder: &Builder<'_, '_>, list: Vec<ModuleId>) -> Result<Vec<Group>, TorchError> {
    let mut groups: Vec<Group> = Vec::new();
    for id in list {
        let body = Body::of(builder, id, None)?;
        let skeleton = body.skeleton();
        match groups.iter_mut().find(|group| group.skeleton == skeleton) {
            Some(group) => group.members.push((id, body)),
            None => groups.push(Group { members: vec![(id, body)], skeleton, slot: None }),
        }
    }
    Ok(groups)
}

/// Merges groups that only differ in their shortcut.
fn merged(builder: &Builder<'_, '_>, groups: Vec<Group>) -> Result<Vec<Group>, TorchError> {
    let arm = |group: &Group| builder.arm(group.members[0].0);
    let slots: Vec<ShortcutSlot> = groups.iter().filter_map(|group| Some(arm(group)?.module?.slot)).collect();
    let mut left: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    for slot in slots {
        // the shortcut is the block's input, or a module in this slot
        let fits = |group: &Group| match arm(group) {
            Some(Arm { module: None, .. }) => true,
            Some(Arm { module: Some(arm), .. }) => arm.slot == slot,
            None => false,
        };
        let mut similar: Vec<(String, Vec<usize>, bool, bool)> = Vec::new();
        for (i, group) in left.iter().enumerate() {
            let Some(group) = group.as_ref().filter(|group| group.slot.is_none() && fits(group)) else { continue };
            let is_module = arm(group).is_some_and(|arm| arm.module.is_some());
            let Ok(body) = Body::of(builder, group.members[0].0, Some(&slot)) else { continue };
            let skeleton = body.skeleton();
            match similar.iter_mut().find(|(other, ..)| *other == skeleton) {
                Some((_, members, has, has_not)) => {
                    members.push(i);
                    (*has, *has_not) = (*has || is_module, *has_not || !is_module);
                }
                None => similar.push((skeleton, vec![i], is_module, !is_module)),
            }
        }
        for (skeleton, places, has, has_not) in similar {
            // merge only if some instances have a module and others the plain input
            if !(has && has_not) {
                continue;
            }
            let mut members: Vec<ModuleId> =
                places.iter().filter_map(|&i| left[i].take()).flat_map(|group| group.members).map(|(id, _)| id).collect();
            members.sort_unstable();
            let members = members.into_iter().map(|id| Ok((id, Body::of(builder, id, Some(&slot))?)));
            let members = members.collect::<Result<_, TorchError>>()?;
            left.push(Some(Group { members, skeleton, slot: Some(slot.clone()) }));
        }
    }
    let mut groups: Vec<Group> = left.into_iter().flatten().collect();
    groups.sort_by_key(|group| group.members[0].0);
    Ok(groups)
}

fn class(builder: &mut Builder<'_, '_>, group: Group, taken: &mut HashSet<String>) -> Result<Class, TorchError> {
    let first = group.members[0].0;
    let module = &builder.tree.modules[first];
    let unit = builder.tree.unit(first).map(str::to_owned);
    let scope = || {
        module.path.iter().rev().find(|part| part.parse::<usize>().is_err()).map_or("Block", |part| {
            let stem = part.trim_end_matches(|c: char| c.is_ascii_digit());
            if stem.is_empty() { part } else { stem }
        })
    };
    let wanted = names::class(unit.as_deref().unwrap_or_else(scope), "Block");
    let mut name = wanted.clone();
    let mut n = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}{n}");
        n += 1;
    }
    let class = assemble(builder, &group, name);
    for (i, (id, _)) in group.members.iter().enumerate() {
        let mut args: Vec<Arg> = class.params.iter().map(|param| argument(param, param.values[i])).collect();
        if let Some(key) = &class.slot
            && let Some(Arm { module: Some(arm), .. }) = builder.arm(*id)
        {
            args.push(Arg::key(key, builder.make_arm(&arm)?));
        }
        builder.constructors[*id] = Some(Expr::call(&class.name, args));
    }
    Ok(class)
}

fn argument(param: &Param, value: Val) -> Arg {
    let hole = Hole { owner: Some(String::new()), ..Hole::new(param.role, &param.name, value) };
    match param.default {
        Some(default) => Arg { key: Some(param.name.clone()), value: Expr::Hole(hole), default: Some(default) },
        None => Arg::plain(Expr::Hole(hole)),
    }
}

/// Finds the parameters of a group and fills them in.
fn assemble(builder: &Builder<'_, '_>, group: &Group, name: String) -> Class {
    let first = &group.members[0].1;
    let columns: Vec<Vec<(&Hole, Option<Val>)>> = group
        .members
        .iter()
        .map(|(_, body)| {
            let mut list = Vec::new();
            body.init.iter().chain(&body.forward).for_each(|stmt| stmt.holes(&mut |hole, default| list.push((hole, default))));
            list
        })
        .collect();
    let mut of_init = 0;
    first.init.iter().for_each(|stmt| stmt.holes(&mut |_, _| of_init += 1));
    let mut reserved: HashSet<String> = builder.tree.parts(group.members[0].0).into_iter().map(|(key, _)| key).collect();
    reserved.extend(group.slot.iter().map(|slot| slot.key.clone()));
    let mut params: Vec<Param> = Vec::new();
    let mut from: Vec<From> = Vec::new();
    for at in 0..columns[0].len() {
        let column: Vec<(&Hole, Option<Val>)> = columns.iter().map(|list| list[at]).collect();
        let origin = choose(&column, &mut params, &reserved);
        if let From::Param(p, ..) = origin {
            params[p].used_in_forward |= at >= of_init;
        }
        from.push(origin);
    }
    // parameters with defaults come last
    let mut order: Vec<usize> = (0..params.len()).collect();
    order.sort_by_key(|&p| params[p].default.is_some());
    let mut at = 0;
    let mut fill = |_: &Hole| {
        at += 1;
        let is_init = at <= of_init;
        match from[at - 1] {
            From::Omit => None,
            From::Literal(value) => Some(value.to_string()),
            From::Param(p, times, by) => {
                let name = if is_init { params[p].name.clone() } else { format!("self.{}", params[p].name) };
                Some(match (times, by) {
                    (1, 1) => name,
                    (times, 1) => format!("{name} * {times}"),
                    (_, by) => format!("{name} // {by}"),
                })
            }
        }
    };
    // the network's own class keeps its numbers, one of which may become a parameter
    let is_root = group.members[0].0 == ROOT;
    let (init, forward) = if is_root {
        (first.init.iter().map(plain).collect(), first.forward.iter().map(plain).collect())
    } else {
        let init = first.init.iter().map(|stmt| stmt.filled(&mut fill)).collect();
        (init, first.forward.iter().map(|stmt| stmt.filled(&mut fill)).collect::<Vec<_>>())
    };
    let params = order.into_iter().map(|p| params[p].clone()).collect();
    let doc = builder.tree.unit(group.members[0].0).map(|unit| format!("The block `{unit}`."));
    Class { name, doc, params, slot: group.slot.as_ref().map(|s| s.key.clone()), inputs: first.inputs.clone(), init, forward }
}

/// Fills in the numbers, without arguments that have their default value; only the number of classes is left open.
fn plain(stmt: &Stmt) -> Stmt {
    let mut omit = Vec::new();
    stmt.holes(&mut |hole, default| omit.push(default == Some(hole.value)));
    let mut omit = omit.into_iter();
    let mut classes = Vec::new();
    let filled = stmt.filled(&mut |hole| {
        if omit.next() == Some(true) {
            return None;
        }
        if hole.role == Role::Classes {
            classes.push(hole.clone());
            return Some(PLACE.to_owned());
        }
        Some(hole.value.to_string())
    });
    restored(filled, &mut classes.into_iter())
}

/// Placeholder for the number of classes until it is known whether it becomes a parameter.
const PLACE: &str = "\0classes";

fn restored(stmt: Stmt, classes: &mut impl Iterator<Item = Hole>) -> Stmt {
    fn walk(expr: Expr, classes: &mut dyn Iterator<Item = Hole>) -> Expr {
        match expr {
            Expr::Text(text) if text == PLACE => classes.next().map_or(Expr::Text(text), Expr::Hole),
            Expr::Call(head, args) => {
                let args = args.into_iter().map(|arg| Arg { value: walk(arg.value, classes), ..arg }).collect();
                Expr::Call(head, args)
            }
            Expr::List(items) => Expr::List(items.into_iter().map(|item| walk(item, classes)).collect()),
            Expr::Seq(items) => Expr::Seq(items.into_iter().map(|item| walk(item, classes)).collect()),
            Expr::Dict(items) => Expr::Dict(items.into_iter().map(|(key, item)| (key, walk(item, classes))).collect()),
            other => other,
        }
    }
    match stmt {
        Stmt::Member { key, value } => Stmt::Member { key, value: walk(value, classes) },
        other => other,
    }
}

/// Determines where the numbers at one position come from. Adds a new parameter if they do not follow from an existing one.
fn choose(column: &[(&Hole, Option<Val>)], params: &mut Vec<Param>, reserved: &HashSet<String>) -> From {
    let (hole, _) = column[0];
    if column.iter().all(|(hole, default)| *default == Some(hole.value)) {
        return From::Omit;
    }
    if column.iter().all(|(other, _)| other.value == hole.value) {
        return From::Literal(hole.value);
    }
    let values: Vec<Val> = column.iter().map(|(hole, _)| hole.value).collect();
    let serves =
        |param: &Param| param.role == hole.role || (param.role, hole.role) == (Role::Other("dilation"), Role::Other("padding"));
    if let Some(p) = params.iter().position(|param| serves(param) && param.values == values) {
        return From::Param(p, 1, 1);
    }
    if hole.role == Role::Channels {
        let found = params.iter().enumerate().filter(|(_, p)| p.role == Role::Channels).find_map(|(p, param)| {
            let (times, by) = ratio(&values, &param.values)?;
            Some(From::Param(p, times, by))
        });
        if let Some(found) = found {
            return found;
        }
    }
    let default = column.iter().find_map(|(hole, default)| default.filter(|d| *d == hole.value));
    let name = param_name(hole, params, reserved);
    params.push(Param { name, role: hole.role, default, used_in_forward: false, values });
    From::Param(params.len() - 1, 1, 1)
}

/// The common factor and divisor that give `values` from `of`.
fn ratio(values: &[Val], of: &[Val]) -> Option<(i64, i64)> {
    const MAX_RATIO: i64 = 64;
    let pairs: Option<Vec<(i64, i64)>> = values
        .iter()
        .zip(of)
        .map(|pair| match pair {
            (Val::Int(a), Val::Int(b)) if *a > 0 && *b > 0 => Some((*a, *b)),
            _ => None,
        })
        .collect();
    let pairs = pairs?;
    let &(a, b) = pairs.first()?;
    let (times, by) = if a % b == 0 {
        (a / b, 1)
    } else if b % a == 0 {
        (1, b / a)
    } else {
        return None;
    };
    let fits = pairs.iter().all(|&(a, b)| a.checked_mul(by) == b.checked_mul(times));
    (fits && times <= MAX_RATIO && by <= MAX_RATIO).then_some((times, by))
}

fn param_name(hole: &Hole, params: &[Param], reserved: &HashSet<String>) -> String {
    let is_name = |name: &String| names::is_variable(name) && names::is_attribute(name);
    let is_free = |name: &String| is_name(name) && !reserved.contains(name) && !params.iter().any(|p| p.name == *name);
    let owned = hole.owner.as_ref().filter(|owner| !owner.is_empty()).map(|owner| format!("{owner}_{}", hole.hint));
    // a layer of a sequence is named by a number, and a variable cannot begin with one
    let wanted = owned.filter(|name| !hole.hint.starts_with("in_") && is_name(name)).unwrap_or_else(|| hole.hint.clone());
    let numbered = (2..).map(|n| format!("{wanted}{n}"));
    [wanted.clone()].into_iter().chain(numbered).find(is_free).unwrap_or_default()
}

impl Class {
    /// The name of the class.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn write(&self, text: &mut Text) {
        text.open(&format!("class {}(nn.Module):", self.name));
        if let Some(doc) = &self.doc {
            text.line(&format!("\"\"\"{doc}\"\"\""));
            text.line("");
        }
        let mut takes = vec!["self".to_owned()];
        takes.extend(self.params.iter().map(|param| match param.default {
            Some(default) => format!("{}={default}", param.name),
            None => param.name.clone(),
        }));
        takes.extend(self.slot.iter().map(|key| format!("{key}=None")));
        text.def("__init__", &takes);
        text.line("super().__init__()");
        for param in self.params.iter().filter(|param| param.used_in_forward) {
            text.line(&format!("self.{0} = {0}", param.name));
        }
        self.init.iter().for_each(|stmt| text.statement(stmt));
        text.close();
        text.line("");
        let takes: Vec<String> = ["self".to_owned()].into_iter().chain(self.inputs.iter().cloned()).collect();
        text.def("forward", &takes);
        self.forward.iter().for_each(|stmt| text.statement(stmt));
        text.close();
        text.close();
    }
}
