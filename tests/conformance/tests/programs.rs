//! The project's own C programs, and the headers as C and as C++.

use std::fs;
use std::path::{Path, PathBuf};

use conformance::{Cell, Home, Line, Verdict, Workspace, compile, conclude, homes, run};

/// A library beside libascendcl.so.
struct Other {
    library: &'static str,
    headers: &'static [&'static str],
    /// The programs that link it.
    programs: &'static [&'static str],
}

const OTHERS: &[Other] = &[
    Other { library: "acl_tdt_channel", headers: &["acl/acl_tdt.h"], programs: &["tdt"] },
    Other { library: "acl_tdt_queue", headers: &["acl/acl_tdt_queue.h"], programs: &["tdt"] },
    Other { library: "msprofiler", headers: &["acl/acl_prof.h", "mstx/ms_tools_ext.h"], programs: &["prof"] },
    Other { library: "ms_tools_ext", headers: &["mstx/ms_tools_ext.h"], programs: &[] },
    Other { library: "ascend_dump", headers: &["acl/acl_dump.h"], programs: &["dump"] },
    Other { library: "ascendcl", headers: &["acl/acl_base_mdl.h", "acl/acl_op.h"], programs: &[] },
    Other { library: "acl_op_compiler", headers: &["acl/acl_op_compiler.h"], programs: &["by_name"] },
    Other { library: "opapi", headers: &[], programs: &["prof", "dump"] },
];

fn main() {
    let workspace = Workspace::build();
    let mut rows = headers(&workspace);
    let acl = workspace.include.join("acl");
    let mut files =
        vec![acl.join("acl_base_rt.h"), acl.join("acl_rt_allocator.h"), acl.join("acl_rt_memory_soma.h")];
    collect(&acl.join("rt"), &mut files);
    rows.push(symbols(&workspace, &files, &["ascendcl", "acl_rt"]));
    for other in OTHERS.iter().filter(|other| !other.headers.is_empty()) {
        let headers: Vec<_> = other.headers.iter().map(|header| workspace.include.join(header)).collect();
        rows.push(symbols(&workspace, &headers, &[other.library]));
    }
    let homes = homes(&workspace);
    rows.push(unsupported(&workspace, &homes));
    for source in sources(&workspace) {
        rows.push(program(&workspace, &homes, &source, "ascendcl"));
    }
    // Once more through the other name; the programs that call vinci_ symbols cannot.
    for name in ["stream.c", "copy.c", "error.c", "base.c"] {
        rows.push(program(&workspace, &homes, &folder(&workspace).join(name), "acl_rt"));
    }
    conclude("conformance", homes, &rows);
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests/conformance/c")
}

fn sources(workspace: &Workspace) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(workspace)).expect("tests/conformance/c is there");
    let mut sources: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    sources
}

/// Builds one program and runs it in each home.
fn program(workspace: &Workspace, homes: &[Home], source: &Path, library: &str) -> Line {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let name = if library == "ascendcl" { stem.to_string() } else { format!("{stem} (lib{library}.so)") };
    let binary = workspace.scratch.join(format!("{stem}-{library}"));
    let mut compiler = workspace.compiler(source);
    compiler.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
    compiler.arg(&binary).arg("-I").arg(folder(workspace)).arg(source);
    let others = OTHERS.iter().filter(|other| other.programs.contains(&&*stem)).map(|other| other.library);
    let libraries: Vec<_> = others.chain([library, "dl", "m"]).collect();
    workspace.link(&mut compiler, &libraries);
    if let Some(text) = compile(compiler).expect("a C compiler runs") {
        return Line::alone(name, Some(format!("does not build:\n{text}")), "");
    }
    Line { name, cells: homes.iter().map(|home| attempt(workspace, home, &binary)).collect() }
}

fn attempt(workspace: &Workspace, home: &Home, binary: &Path) -> Cell {
    let mut command = workspace.command(binary);
    home.set(&mut command);
    let outcome = run(command).expect("the program runs");
    let last = outcome.output.lines().rfind(|line| line.starts_with("checks "));
    let detail = last.unwrap_or("no result").to_owned();
    // A program that passes has also counted its checks.
    let failure = outcome.failure.or_else(|| last.is_none().then(|| "ended early".to_owned()));
    let time = outcome.time;
    match failure {
        None => Cell { verdict: Verdict::Pass, detail, time },
        Some(why) => {
            Cell { verdict: Verdict::Fail, detail: format!("{why}, {detail}\n{}", outcome.output), time }
        }
    }
}

/// Each header by itself, as C and as C++, without a warning.
fn headers(workspace: &Workspace) -> Vec<Line> {
    let mut files = Vec::new();
    collect(&workspace.include, &mut files);
    // Kernels are compiled with `vinci cc`; see kernels.rs.
    files.retain(|file| !file.starts_with(workspace.include.join("ascendc")));
    files.sort();
    let modes = [("c", "c11", "C11"), ("c++", "c++11", "C++11"), ("c++", "c++17", "C++17")];
    let check = |(language, standard, title): (&str, &str, &str)| {
        let failures = files.iter().filter_map(|file| {
            let mut compiler = workspace.compiler(Path::new(if language == "c" { "x.c" } else { "x.cpp" }));
            compiler.args([
                "-x",
                language,
                &format!("-std={standard}"),
                "-fsyntax-only",
                "-Wall",
                "-Wextra",
                "-Werror",
            ]);
            compiler.arg("-Wno-unused-const-variable").arg(file);
            compile(compiler).expect("a compiler runs")
        });
        let failures: Vec<_> = failures.collect();
        let failure = (!failures.is_empty()).then(|| failures.concat());
        Line::alone(format!("headers as {title}"), failure, format!("{} headers", files.len()))
    };
    modes.map(check).into()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("ffi/include can be read") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "h") {
            files.push(path);
        }
    }
}

/// Every function that the headers declare is in each of the libraries: a program that names them all links and
/// loads.
fn symbols(workspace: &Workspace, headers: &[PathBuf], libraries: &[&str]) -> Line {
    let includes = headers.iter().map(|header| format!("#include \"{}\"\n", header.display()));
    let mut source: String = ["#include \"acl/acl.h\"\n".to_owned()].into_iter().chain(includes).collect();
    source.push_str("int main(void) {\n    volatile void *p;\n");
    let mut count = 0;
    for file in headers {
        let text = fs::read_to_string(file).expect("a header can be read");
        for declaration in text.split("\nACL_FUNC_VISIBILITY ").skip(1) {
            let head = declaration.split('(').next().unwrap_or_default();
            let name = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            source.push_str(&format!("    p = (void *){name};\n"));
            count += 1;
        }
    }
    source.push_str("    (void)p;\n    return 0;\n}\n");
    let path = workspace.scratch.join(format!("symbols-{}.c", libraries[0]));
    fs::write(&path, source).expect("the target folder can be written");
    let mut failure = None;
    for library in libraries {
        let binary = workspace.scratch.join(format!("symbols-{library}"));
        let mut compiler = workspace.compiler(&path);
        compiler.args(["-w", "-Wl,-z,now", "-o"]).arg(&binary).arg(&path);
        workspace.link(&mut compiler, &[library, "ascendcl"]);
        failure = failure.or(compile(compiler).expect("a C compiler runs"));
        failure = failure.or_else(|| run(workspace.command(&binary)).expect("the program runs").failure);
    }
    Line::alone(format!("symbols of {}", libraries.join(", ")), failure, format!("{count} functions"))
}

/// Every function that is not implemented says so with its own code and its name, whatever it is called with.
fn unsupported(workspace: &Workspace, homes: &[Home]) -> Line {
    let list = fs::read_to_string(workspace.root.join("ffi/ascendcl/src/unsupported.rs"));
    let list = list.expect("the list can be read");
    let (_, list) = list.split_once("\nunsupported! {").expect("the list is there");
    let names: Vec<_> = list.split('}').next().unwrap_or_default().split_whitespace().collect();
    let mut source =
        String::from("#include \"check.h\"\n#include <dlfcn.h>\nstatic const char *names[] = {\n");
    names.iter().for_each(|name| source.push_str(&format!("    \"{name}\",\n")));
    source.push_str(
        "};\nint main(void) {\n    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {\n        \
         int (*f)(void *, void *, void *) = (int (*)(void *, void *, void *))dlsym(RTLD_DEFAULT, names[i]);\n        \
         const char *text;\n        TRUE(f && f((void *)1, names, NULL) == ACL_ERROR_FEATURE_UNSUPPORTED);\n        \
         text = aclGetRecentErrMsg();\n        TRUE(text && strstr(text, names[i]));\n    }\n    \
         OK(aclInit(NULL));\n    OK(aclFinalize());\n    return finish();\n}\n",
    );
    let path = workspace.scratch.join("every_unsupported.c");
    fs::write(&path, source).expect("the target folder can be written");
    Line {
        name: format!("{} unsupported functions", names.len()),
        ..program(workspace, homes, &path, "ascendcl")
    }
}
