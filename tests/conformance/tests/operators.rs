//! The examples of CANN's operators, unmodified: VINCI_CANN_OPS names a folder with checkouts of github.com/hicann's
//! ops-math, ops-nn, ops-transformer and ops-cv, or one of them. An example whose operators are there must build, run
//! and complain of nothing; what its operators made is compared with PyTorch on the CPU, where that is there. Nothing
//! of them is in this repository.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use std::{env, fs, io, process, thread};

use conformance::{Comparison, Line, Torch, Verdict, Workspace, compile, report, run_within};

/// The longest of them works on a few MiB.
const LIMIT: Duration = Duration::from_secs(60);

const OWN_HEADER: &str = "includes a header of its own build";
const PROTOTYPE: &str = "calls another prototype than CANN's";
const NO_CPP: &str = "is no C++ that g++ takes";

/// Examples that cannot pass, by a part of their path, and why: most are drafts in a folder `experimental`.
const SET_ASIDE: &[(&str, &str)] = &[
    ("experimental/math/asinh/", OWN_HEADER),
    ("experimental/math/is_neg_inf/", OWN_HEADER),
    ("experimental/math/is_pos_inf/", OWN_HEADER),
    ("experimental/math/log_add_exp/", OWN_HEADER),
    ("experimental/math/slogdet/", OWN_HEADER),
    ("experimental/math/tile/", OWN_HEADER),
    ("experimental/activation/log_softmax_v2/", OWN_HEADER),
    ("experimental/math/kl_div_v2/", PROTOTYPE),
    ("experimental/math/range/", PROTOTYPE),
    ("experimental/math/round/", PROTOTYPE),
    ("experimental/activation/celu/examples/arch35/", PROTOTYPE),
    ("experimental/activation/softplus/", PROTOTYPE),
    ("experimental/activation/softshrink/", PROTOTYPE),
    ("experimental/index/median/", PROTOTYPE),
    ("experimental/activation/hard_shrink/examples/arch35/", PROTOTYPE),
    ("experimental/activation/shrink/examples/arch35/", PROTOTYPE),
    ("matmul/gemm_v3/examples/arch35/", OWN_HEADER),
    ("activation/gelu_quant/examples/arch35/", NO_CPP),
    ("experimental/math/logical_and/", NO_CPP),
    ("experimental/activation/mish_grad_v2/", NO_CPP),
    ("experimental/activation/hard_swish_grad/", "has the slopes of aclnnHardswishBackwardV2 at -3 and 3"),
    ("pooling/adaptive_max_pool3d/", "copies 8 bytes an index into an array that has 4 for each"),
    ("activation/softmax_cross_entropy_with_logits/", "copies more than an array holds"),
    ("test_aclnn_nll_loss_2d.cpp", "has class 2 of 2 classes"),
    ("matmul/convert_weight_to_int4_pack/", "gives no workspace although phase 1 asks for one"),
    ("test_aclnn_weight_quant_batch_matmul_v2_f16f8_nd.cpp", "ours: float8 is missing"),
];

fn main() {
    let title = "examples of operators";
    let Some(root) = env::var_os("VINCI_CANN_OPS").map(PathBuf::from) else {
        let skipped = Line::once(title, Verdict::Skip, "skipped: set VINCI_CANN_OPS", Duration::ZERO);
        report("operators of CANN", &[""], &[skipped]);
        return;
    };
    // A word of the path, to try some of them.
    let wanted = env::args().nth(1).filter(|word| !word.starts_with('-')).unwrap_or_default();
    let mut examples = Vec::new();
    find(&root, &mut examples).expect("VINCI_CANN_OPS names a folder that can be read");
    examples.retain(|path| path.to_string_lossy().contains(&wanted));
    examples.sort();
    let workspace = Workspace::build();
    let library = Library::read(&workspace.include);
    let mut missing = BTreeMap::<String, usize>::new();
    let mut tried = Vec::new();
    for path in examples.iter() {
        match library.lacks(path) {
            lacks if lacks.is_empty() => tried.push(path.as_path()),
            lacks => lacks.into_iter().for_each(|name| *missing.entry(name).or_default() += 1),
        }
    }
    let (mut lines, compared) = attempt_all(&workspace, &root, &tried);
    let (all, left) = (examples.len(), examples.len() - tried.len());
    let names: Vec<_> = missing.keys().map(String::as_str).collect();
    let detail = format!("{left} of {all} want what is not here: {}", names.join(" "));
    lines.push(Line::once("others", Verdict::Skip, detail, Duration::ZERO));
    lines.push(match compared {
        Some(all) => {
            let failure = (!all.different.is_empty()).then(|| all.different.join("\n"));
            let without: Vec<_> = all.without.iter().map(String::as_str).collect();
            let detail = format!(
                "{} operators are equal to PyTorch's, {} random ones are in their range, {} have no counterpart: {}",
                all.count("equal"),
                all.count("random"),
                all.count("without"),
                without.join(" ")
            );
            println!("{detail}; {} differ", all.different.len());
            Line::alone("compared with PyTorch", failure, detail)
        }
        None => {
            let why = "not compared: `cargo xtask test torch` makes the Python environment";
            Line::once("compared with PyTorch", Verdict::Skip, why, Duration::ZERO)
        }
    });
    if !report("operators of CANN", &[""], &lines) {
        process::exit(1);
    }
}

/// Examples under `folder`.
fn find(folder: &Path, to: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() {
            find(&path, to)?;
        } else if name.starts_with("test_aclnn_") && name.ends_with(".cpp") && is_example(&path) {
            to.push(path);
        }
    }
    Ok(())
}

/// Whether it is in a folder of examples: unit tests, which want their own build, have such names too.
fn is_example(path: &Path) -> bool {
    path.components().any(|folder| folder.as_os_str() == "examples")
}

/// What the headers declare.
struct Library(BTreeSet<String>);

impl Library {
    fn read(include: &Path) -> Self {
        let headers = fs::read_dir(include.join("aclnnop")).expect("the headers are there");
        let mut names = BTreeSet::new();
        for header in headers.flatten() {
            names.extend(operators(&fs::read_to_string(header.path()).expect("a header can be read")));
        }
        Self(names)
    }

    /// Operators that an example wants and that are not here.
    fn lacks(&self, example: &Path) -> BTreeSet<String> {
        let text = fs::read(example).expect("an example can be read");
        let text = String::from_utf8_lossy(&text);
        // Types of the 950, which no operator here takes.
        if ["FLOAT8_E", "FLOAT4_E", "HIFLOAT8"].iter().any(|name| text.contains(name)) {
            return ["floats of 8 bits and less".to_owned()].into();
        }
        let wants = operators(&text);
        if wants.is_empty() {
            // Those that call kernels of their own by other means.
            return ["a kernel of its own".to_owned()].into();
        }
        wants.difference(&self.0).cloned().collect()
    }
}

/// Names of the operators that are declared or called in a text of C++, without those in comments.
fn operators(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        for (at, _) in line.match_indices("GetWorkspaceSize") {
            let after = line[at + "GetWorkspaceSize".len()..].trim_start();
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let begin = line[..at].trim_end_matches(word).len();
            if line[begin..at].starts_with("aclnn") && after.starts_with('(') {
                names.insert(line[begin..at].to_owned());
            }
        }
    }
    names
}

/// Tries them side by side; all that was compared, if anything could be.
fn attempt_all(workspace: &Workspace, root: &Path, examples: &[&Path]) -> (Vec<Line>, Option<Comparison>) {
    let queue = Mutex::new(examples.iter().enumerate());
    let lines = Mutex::new(Vec::new());
    let compared = Mutex::new(None::<Comparison>);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut torch = Torch::start(&workspace.root).expect("Python runs");
                loop {
                    let next = queue.lock().expect("no thread panics with the lock").next();
                    let Some((n, example)) = next else { return };
                    let (line, comparison) = attempt(workspace, root, n, example, torch.as_mut());
                    if let Some(comparison) = comparison {
                        let mut all = compared.lock().expect("no thread panics with the lock");
                        all.get_or_insert_default().add(comparison);
                    }
                    let mut lines = lines.lock().expect("no thread panics with the lock");
                    lines.push(line);
                    if lines.len() % 50 == 0 {
                        eprintln!("{} of {} examples", lines.len(), examples.len());
                    }
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("the threads have ended");
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    (lines, compared.into_inner().expect("the threads have ended"))
}

/// Builds and runs one, and compares what its operators made.
fn attempt(
    workspace: &Workspace,
    root: &Path,
    n: usize,
    example: &Path,
    torch: Option<&mut Torch>,
) -> (Line, Option<Comparison>) {
    let name = example.strip_prefix(root).unwrap_or(example).display().to_string();
    if let Some((_, why)) = SET_ASIDE.iter().find(|(part, _)| name.contains(part)) {
        return (Line::once(name, Verdict::Skip, *why, Duration::ZERO), None);
    }
    let place = workspace.scratch.join(format!("operator-{n}"));
    fs::create_dir_all(&place).expect("the target folder can be written");
    let binary = place.join("example");
    let mut compiler = workspace.compiler(Path::new("example.cpp"));
    compiler.args(["-std=c++17", "-w", "-pthread"]).arg("-I").arg(workspace.include.join("aclnnop"));
    compiler.arg("-o").arg(&binary).arg(example);
    workspace.link(&mut compiler, &["ascendcl", "nnopbase", "opapi", "c_sec"]);
    let line = |failure| Line::alone(name, failure, "");
    if let Some(text) = compile(compiler).expect("a C++ compiler runs") {
        return (line(Some(format!("does not build:\n{text}"))), None);
    }
    let mut command = workspace.command(&binary);
    command.current_dir(&place).env("VINCI_DEVICE", "embedded");
    let records = place.join("records");
    if torch.is_some() {
        command.env("VINCI_RECORD", &records);
    }
    let outcome = run_within(command, LIMIT).expect("the example runs");
    // They print what fails; not all of them return it.
    let complaint = outcome
        .output
        .lines()
        .find(|line| (line.contains("failed") && !line.contains("failed: 0")) || line.contains("ERROR"));
    let failure = outcome.failure.or(complaint.map(str::to_owned));
    let failure = failure.map(|why| format!("{why}\n{}", tail(&outcome.output)));
    let comparison = match torch {
        Some(torch) if failure.is_none() => Some(torch.compare(&records).expect("PyTorch compares")),
        _ => None,
    };
    let _ = fs::remove_dir_all(&place);
    let differs = comparison.iter().flat_map(|c| &c.different).cloned().collect::<Vec<_>>().join("\n");
    (line(failure.or_else(|| (!differs.is_empty()).then_some(differs))), comparison)
}

/// The last lines of what a program said.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
