//! What is written from the declarations: the C headers and docs/operators.md. `VINCI_BLESS=1` writes them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::FAMILIES;

/// Functions that are no operators: header, sentence, prototype.
const OTHERS: &[(&str, &str, &str)] = &[
    ("recurrent_gated_delta_rule", "Programs include this header; its operator is missing.", ""),
    (
        "npu_format_cast",
        "Stores the storage shape that a tensor has in a format, to be freed by the program, its length and that format.",
        "aclnnStatus aclnnNpuFormatCastCalculateSizeAndFormat(const aclTensor *srcTensor, const int dstFormat,\n\tconst int additionalDtype, int64_t **dstShape, uint64_t *dstShapeSize, int *actualFormat);",
    ),
    (
        "trans_quant_param",
        "Stores an array, to be freed by the program, of scales and offsets as the cube takes them.",
        "aclnnStatus aclnnTransQuantParam(const float *scaleArray, uint64_t scaleSize, const float *offsetArray,\n\tuint64_t offsetSize, uint64_t **quantParam, uint64_t *quantParamSize);",
    ),
    (
        "trans_matmul_weight",
        "As aclnnCalculateMatmulWeightSizeV2, of float16.",
        "aclnnStatus aclnnCalculateMatmulWeightSize(const aclIntArray *tensorShape, uint64_t *weightTensorSize);",
    ),
    (
        "trans_matmul_weight",
        "Stores at weightTensorSize how many elements the weight of a product has in FRACTAL_NZ.",
        "aclnnStatus aclnnCalculateMatmulWeightSizeV2(const aclIntArray *tensorShape, aclDataType dataType,\n\tuint64_t *weightTensorSize);",
    ),
];

/// Headers of C++ that programs expect to come with one of ours.
const CPP: &[(&str, &str)] = &[("group_norm_backward", "array")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes the files if that is asked for; fails if one of them differs from what it should be.
fn compare(files: impl IntoIterator<Item = (PathBuf, String)>) {
    let mut stale = Vec::new();
    for (path, text) in files {
        if std::env::var_os("VINCI_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        if std::fs::read_to_string(&path).ok() != Some(text) {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "run `VINCI_BLESS=1 cargo test -p opapi header_tests`: {stale:?}");
}

#[test]
fn headers_are_current() {
    let mut bodies: BTreeMap<&str, String> = BTreeMap::new();
    for d in FAMILIES.iter().flat_map(|(_, operators)| *operators) {
        let text = bodies.entry(d.header).or_default();
        let args: Vec<_> = d
            .args
            .iter()
            .map(|(kind, name)| {
                let name = name.trim_end_matches('_');
                if kind.ends_with('*') { format!("{kind}{name}") } else { format!("{kind} {name}") }
            })
            .collect();
        writeln!(text, "\n/*{} */", d.doc).unwrap();
        writeln!(
            text,
            "aclnnStatus {}GetWorkspaceSize({}, uint64_t *workspaceSize,\n\taclOpExecutor **executor);",
            d.name,
            args.join(", ")
        )
        .unwrap();
        writeln!(
            text,
            "aclnnStatus {}(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);",
            d.name
        )
        .unwrap();
    }
    for (header, doc, prototype) in OTHERS {
        let text = bodies.entry(header).or_default();
        writeln!(text, "\n/* {doc} */").unwrap();
        prototype.lines().for_each(|line| writeln!(text, "{line}").unwrap());
    }
    let folder = root().join("ffi/include/aclnnop");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("aclnn_"));
        if name.is_some_and(|name| bodies.contains_key(name)) {
            continue;
        }
        if std::env::var_os("VINCI_BLESS").is_some() {
            std::fs::remove_file(&path).unwrap();
        }
        assert!(!path.exists(), "no operator is declared in {}", path.display());
    }
    compare(bodies.into_iter().map(|(name, body)| {
        let cpp = CPP.iter().filter(|(header, _)| *header == name);
        let cpp: String =
            cpp.map(|(_, with)| format!("#ifdef __cplusplus\n#include <{with}>\n#endif\n")).collect();
        let guard = format!("VINCI_ACLNN_{}_H", name.to_uppercase());
        let text = format!(
            "/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */\n\
             /* Generated from ffi/opapi/src/ops; see the test headers_are_current. */\n\
             #ifndef {guard}\n#define {guard}\n\n#include \"aclnn/aclnn_base.h\"\n{cpp}\n\
             #ifdef __cplusplus\nextern \"C\" {{\n#endif\n{body}\n#ifdef __cplusplus\n}}\n#endif\n\n#endif\n"
        );
        (folder.join(format!("aclnn_{name}.h")), text)
    }));
}

#[test]
fn the_list_in_docs_is_current() {
    let count: usize = FAMILIES.iter().map(|(_, operators)| operators.len()).sum();
    let mut text = format!(
        "# Operators of libopapi.so\n\n\
         {count} operators, by family. Each takes every type, stride, broadcast and empty tensor that its sentence\n\
         allows, up to eight dimensions, and answers an error code with a sentence for what it does not take.\n\n\
         Generated from the declarations in ffi/opapi/src/ops; see the test the_list_in_docs_is_current.\n"
    );
    for (family, operators) in FAMILIES {
        write!(text, "\n## {family}\n\n| operator | header | what it does |\n| --- | --- | --- |\n").unwrap();
        for d in *operators {
            let doc = d.doc.trim().replace('|', "\\|");
            writeln!(text, "| `{}` | `aclnn_{}.h` | {doc} |", d.name, d.header).unwrap();
        }
    }
    text.push_str(
        "\n## Operators by name\n\nFor `aclopCompileAndExecute`, in the order in which it takes them. What an operator can do without may be\n\
         missing.\n\n| operator | inputs | outputs |\n| --- | --- | --- |\n",
    );
    for o in super::named::OPERATORS {
        writeln!(text, "| `{}` | {} | {} |", o.name, o.inputs.join(", "), o.outputs.join(", ")).unwrap();
    }
    compare([(root().join("docs/operators.md"), text)]);
}

#[test]
fn every_operator_is_declared_once() {
    let mut seen = BTreeMap::new();
    for (family, operators) in FAMILIES {
        for d in *operators {
            let before = seen.insert(d.name, family);
            assert!(before.is_none(), "{} is in {family} and {before:?}", d.name);
        }
    }
}
