//! Initial parameters: random, read from a file, or both.

use std::collections::BTreeMap;

use crate::base::tensor::Tensor;
use crate::data::Rng;
use crate::formats::{Tensors, weights};
use crate::ir::{Checked, Initial, NodeId, ParamRole, ParamSource, Recipe, is_within};
use crate::runtime::ParamStore;

use super::TrainError;

/// The initial parameters.
#[derive(Clone, Debug)]
pub struct InitialParams {
    /// All parameters and running statistics.
    pub params: ParamStore,
    /// The parameters that were initialized randomly although a file was given, in order.
    pub random: Vec<String>,
    /// The tensors of the file that were not used.
    pub unused: Vec<String>,
}

/// Initializes all parameters randomly, as the recipe specifies. The values of a tensor depend only on the seed and its name.
pub fn random_params(checked: &Checked, recipe: &Recipe) -> Result<BTreeMap<String, Tensor>, TrainError> {
    let graph = checked.graph();
    let last_norms = if recipe.zero_init_residual { last_norms(checked) } else { Vec::new() };
    let mut tensors = BTreeMap::new();
    for id in graph.ids() {
        let node = graph.node(id);
        for param in &node.params {
            let ParamSource::Named(name) = &param.source else { continue };
            let len: usize = param.shape.iter().product();
            let values = match recipe.init.of(&node.op, param) {
                _ if param.role == ParamRole::Weight && last_norms.contains(&id) => vec![0.0; len],
                Initial::Normal { deviation } => normal(recipe.seed, name, len, deviation),
                Initial::Constant(value) => vec![value; len],
            };
            let tensor = Tensor::from_f32(param.shape.clone(), values);
            let tensor = tensor.ok_or_else(|| TrainError::Recipe(format!("the shape of `{name}` is invalid")))?;
            tensors.insert(name.clone(), tensor);
        }
    }
    Ok(tensors)
}

/// Normal values that depend on the seed and the tensor's name.
fn normal(seed: u64, name: &str, len: usize, deviation: f64) -> Vec<f32> {
    let key: Vec<u64> = std::iter::once(seed).chain(name.bytes().map(u64::from)).collect();
    let mut rng = Rng::of(&key);
    (0..len).map(|_| (rng.normal() * deviation) as f32).collect()
}

/// The norms at the end of a residual path, whose result is added to a shortcut.
fn last_norms(checked: &Checked) -> Vec<NodeId> {
    let graph = checked.graph();
    let first = |add: NodeId| graph.operands(add).first().map(|v| v.node);
    let path = checked.network.shortcuts.iter().filter_map(|s| first(s.add));
    path.filter(|&id| graph.node(id).op.is_norm()).collect()
}

/// The tensors of a file, if one is given, with random values for the layers in `except`. Any other tensor that the file lacks, or has with
/// another shape, is an error. Additional tensors of the file are reported as unused.
pub fn initial_params(
    checked: &Checked,
    recipe: &Recipe,
    file: Option<(&Tensors, &[String])>,
) -> Result<InitialParams, TrainError> {
    let mut tensors = random_params(checked, recipe)?;
    let Some((file, except)) = file else {
        return Ok(InitialParams { params: tensors.into_iter().collect(), random: Vec::new(), unused: Vec::new() });
    };
    let path = file.path().display();
    let is_excepted = |name: &str| except.iter().any(|scope| is_within(name, scope));
    let stored = weights::by_name(checked, file);
    let mut random = Vec::new();
    for (name, tensor) in &mut tensors {
        if is_excepted(name) {
            random.push(name.clone());
            continue;
        }
        let Some(given) = stored.get(name.as_str()) else {
            let renames = weights::renames_by_order(checked, file, |name| !is_excepted(name));
            let renames = renames.map_or_else(String::new, |renames| {
                format!("; if the layers with other names have the same order there, rename them: {renames}")
            });
            return Err(TrainError::Recipe(format!("`{path}` has no `{name}`; {}{renames}", or_random(name))));
        };
        if !given.has_sizes(tensor.shape()) {
            return Err(TrainError::Recipe(format!(
                "`{path}` has `{name}` with shape {:?}, but the network needs {:?}; {}",
                given.shape(),
                tensor.shape(),
                or_random(name)
            )));
        }
        let values = given.to_f32().into_owned();
        *tensor = Tensor::from_f32(tensor.shape().to_vec(), values)
            .ok_or_else(|| TrainError::Recipe(format!("the shape of `{name}` is invalid")))?;
    }
    let unused = stored.into_keys().filter(|name| !tensors.contains_key(*name) || is_excepted(name));
    let unused = unused.map(str::to_owned).collect();
    Ok(InitialParams { params: tensors.into_iter().collect(), random, unused })
}

/// How to initialize the layer of a tensor randomly.
fn or_random(name: &str) -> String {
    let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
    format!("initialize that layer randomly: from: \"…\" except [{layer}] in the recipe, or --except {layer}")
}
