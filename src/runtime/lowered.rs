//! The parameters of a network whose layers have less than f32's precision, as they are stored: in the type of their layer.

use std::collections::BTreeSet;

use half::bf16;

use super::params::{ParamError, ParamStore};
use crate::base::tensor::{DType, Tensor};
use crate::ir::ParamSource;
use crate::passes::Optimized;

/// The tensors that an optimized network reads. Weights of bf16 layers are those that are computed with, norms folded in, in 16 bits;
/// what they are made from is left out.
pub fn lowered(network: &Optimized, params: &ParamStore) -> Result<ParamStore, ParamError> {
    let graph = network.graph();
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let mut list: Vec<(String, Tensor)> = Vec::new();
    for param in graph.ids().flat_map(|id| &graph.node(id).params) {
        match &param.source {
            ParamSource::Bf16 { stored, .. } => {
                let values = params.evaluate(&param.source, &param.shape)?;
                let bytes: Vec<u8> = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
                let tensor = Tensor::from_bytes(param.shape.clone(), DType::BF16, bytes.into());
                let wrong =
                    || ParamError::Size { name: stored.clone(), expected: param.shape.iter().product(), got: values.len() };
                list.push((stored.clone(), tensor.ok_or_else(wrong)?));
                params.release(&param.source);
            }
            source => source.tensors(&mut kept),
        }
    }
    list.extend(kept.into_iter().filter_map(|name| Some((name.clone(), params.get(&name)?.clone()))));
    Ok(list.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{CompileOptions, Frontend, Weights};
    use crate::passes;

    #[test]
    fn only_what_is_computed_with_is_stored() {
        let text = "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  precision { default: bf16, fc: f32 }\n  conv 3x3, filters: 4 as conv1\n  \
                    batchnorm as bn1\n  relu\n  avgpool global\n  linear 2 as fc\n}\n";
        let options = CompileOptions { weights: Weights::Init(0), ..CompileOptions::default() };
        let (checked, params) = Frontend::text("net.resnet", text).bound(&options).unwrap();
        let network = passes::inference(checked.canonical());
        let stored = lowered(&network, &params).unwrap();
        let tensors: Vec<(&str, DType)> = stored.iter().map(|(name, tensor)| (name, tensor.dtype())).collect();
        let of_norm = ["bias", "running_mean", "running_var", "weight"].map(|role| (format!("bn1.{role}"), DType::F32));
        let mut expected: Vec<(&str, DType)> = of_norm.iter().map(|(name, dtype)| (name.as_str(), *dtype)).collect();
        expected.extend([("conv1.weight.bf16", DType::BF16), ("fc.bias", DType::F32), ("fc.weight", DType::F32)]);
        assert_eq!(tensors, expected);
        // the same values as from the parameters that they were made from
        for param in network.graph().ids().flat_map(|id| &network.graph().node(id).params) {
            let (a, b) = (params.evaluate(&param.source, &param.shape), stored.evaluate(&param.source, &param.shape));
            assert_eq!(a.unwrap(), b.unwrap());
        }
        assert_eq!(lowered(&network, &stored).unwrap().len(), stored.len());
    }
}
