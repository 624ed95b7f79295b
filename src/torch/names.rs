//! Valid names in Python.

/// Python keywords.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield",
];

/// Names used by the generated file itself.
const USED: &[&str] =
    &["F", "OrderedDict", "float", "getattr", "i", "layer", "math", "nn", "range", "self", "shortcut", "super", "torch"];

/// Helper functions and classes that the generated file may contain.
const HELPERS: &[&str] = &[
    "GeM",
    "LayerNorm2d",
    "PadChannels",
    "Scope",
    "StandardizedWeight",
    "StdConv1d",
    "StdConv2d",
    "Subsample",
    "avg_pool",
    "ceil_mode_padding",
    "drop_path",
    "max_pool_ceil",
];

/// Attributes that `nn.Module` assigns to itself (`train()`, `eval()`, `compile()`, hooks). PyTorch raises an error if a submodule has
/// that name, no matter how it was registered.
const SET_BY_MODULE: &[&str] = &[
    "_backward_hooks",
    "_backward_pre_hooks",
    "_buffers",
    "_compiled_call_impl",
    "_forward_hooks",
    "_forward_hooks_always_called",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_is_full_backward_hook",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_modules",
    "_non_persistent_buffers_set",
    "_parameters",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "training",
];

/// Whether no submodule can have that name.
pub(super) fn is_impossible(key: &str) -> bool {
    SET_BY_MODULE.contains(&key)
}

/// Attributes of `nn.Module` and the containers, which a module with this name would hide.
const OF_MODULE: &[&str] = &[
    "T_destination",
    "add_module",
    "append",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "clear",
    "compile",
    "copy",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extend",
    "extra_repr",
    "float",
    "forward",
    "fromkeys",
    "get",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "insert",
    "ipu",
    "items",
    "keys",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "pop",
    "popitem",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "setdefault",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "update",
    "values",
    "xpu",
    "zero_grad",
];

/// Whether a text is a valid Python name that the generated file does not use itself.
pub(super) fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&text)
        && !USED.contains(&text)
}

/// Whether a local variable of `forward` can have that name without hiding a helper function.
pub(super) fn is_local(text: &str) -> bool {
    is_variable(text) && !HELPERS.contains(&text)
}

/// Whether a module can be an attribute with that name.
pub(super) fn is_attribute(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&key)
        && !OF_MODULE.contains(&key)
}

/// Whether `ModuleDict` accepts a key.
pub(super) fn is_key(key: &str) -> bool {
    !OF_MODULE.contains(&key) && !key.starts_with('_')
}

/// How a class accesses one of its modules.
pub(super) fn member(key: &str) -> String {
    if is_attribute(key) { format!("self.{key}") } else { format!("self._modules[{}]", quoted(key)) }
}

/// A Python string literal in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// Converts `se_bottleneck` to the class name `SeBottleneck`.
pub(super) fn class(text: &str, otherwise: &str) -> String {
    let mut out = String::new();
    for part in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars);
    }
    let begins = out.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_taken = [KEYWORDS, USED, HELPERS].iter().any(|list| list.contains(&out.as_str()));
    if begins && !is_taken { out } else { otherwise.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_accessed_through_modules() {
        assert_eq!(member("conv1"), "self.conv1");
        assert_eq!(member("train"), "self._modules[\"train\"]");
        assert_eq!(member("0"), "self._modules[\"0\"]");
        assert_eq!(member("lambda"), "self._modules[\"lambda\"]");
        assert!(is_variable("x") && !is_variable("self") && !is_variable("in") && !is_variable("2x"));
    }

    /// `dir(nn.Module())` of PyTorch 2.15 without names that begin with `_`, and those of its instances.
    const PUBLIC: &str = "T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches \
        eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia \
        named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer \
        register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook \
        register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter \
        register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict \
        to to_empty train training type xpu zero_grad";

    #[test]
    fn no_attribute_of_a_module_is_hidden() {
        for name in PUBLIC.split_whitespace() {
            assert!(!is_attribute(name) && !is_key(name), "{name}");
        }
        for name in SET_BY_MODULE {
            assert!(is_impossible(name) && !is_attribute(name), "{name}");
        }
        assert!(!is_impossible("train") && !is_impossible("conv1"));
        for name in HELPERS.iter().chain(USED).filter(|name| !name.starts_with(char::is_uppercase)) {
            assert!(!is_local(name), "{name}");
        }
        assert_eq!(
            ["subsample", "pad_channels", "scope"].map(|name| class(name, "Net")),
            ["Net".to_owned(), "Net".into(), "Net".into()][..]
        );
    }

    #[test]
    fn classes_are_in_camel_case() {
        assert_eq!(class("se_bottleneck", "Net"), "SeBottleneck");
        assert_eq!(class("resnet50", "Net"), "Resnet50");
        assert_eq!(class("true", "Net"), "Net");
        assert_eq!(class("50", "Net"), "Net");
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quoted("a\"b\\c\nd\u{e9}\u{1f600}"), "\"a\\\"b\\\\c\\x0ad\\xe9\\U0001f600\"");
    }
}
