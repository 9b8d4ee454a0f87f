//! Programs with Ascend C kernels, compiled with `vinci cc`: those of `kernels/`, and CANN's own samples that bring a
//! kernel, unmodified, built by their own CMakeLists.txt from the checkout that VINCI_CANN_SAMPLES names.

use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs, thread};

use conformance::{Home, Line, Outcome, Verdict, Workspace, compile, report, run, sanitized, served};

/// Programs of ours; each gets its own kernels as a code object, too.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("add", &[]),
    ("convert", &[]),
    ("reduce", &[]),
    ("rearrange", &[]),
    ("choose", &[]),
    ("cube", &[]),
    ("follow", &[]),
    ("faults", &["1000"]),
    ("escape", &[]),
    ("tuning", &[]),
    ("moving", &[]),
    ("banks", &[]),
    ("relay", &[]),
    ("races", &[]),
];

/// A sample: its folder, its program, and what it must print, how often.
struct Sample {
    folder: &'static str,
    program: &'static str,
    says: &'static [(&'static str, usize)],
}

const fn sample(folder: &'static str, says: &'static [(&'static str, usize)]) -> Sample {
    Sample { folder, program: "main", says }
}

const CUSTOM: &str = "ascendc_kernels_bbit";
const COPIED: &[(&str, usize)] = &[("Destination data: 123", 1)];

const SAMPLES: &[Sample] = &[
    sample("0_quickstart/4_custom_kernel_launch", &[("Sample run successfully", 1)]),
    sample("1_basic_features/device/1_device_multi_thread", &[]),
    sample("1_basic_features/event/0_event_status", &[]),
    sample("1_basic_features/event/1_event_timestamp", &[]),
    sample("1_basic_features/memory/1_h2d_sync_memory_copy", COPIED),
    sample("1_basic_features/memory/2_h2d_async_memory_copy", COPIED),
    sample("1_basic_features/memory/3_d2h_sync_memory_copy", COPIED),
    sample("1_basic_features/memory/4_d2h_async_memory_copy", COPIED),
    sample("1_basic_features/memory/5_d2d_sync_memory_copy", COPIED),
    sample("1_basic_features/memory/6_d2d_async_memory_copy", COPIED),
    sample("1_basic_features/stream/0_simple_stream", &[("Resource cleanup completed", 1)]),
    sample("1_basic_features/stream/1_stream_with_failure_mode", &[("sample successfully", 1)]),
    sample("1_basic_features/stream/2_multi_stream", &[("Resource cleanup completed", 1)]),
    sample("2_advanced_features/callback/0_simple_callback", &[]),
    sample("2_advanced_features/callback/1_callback_hostfunc", &[("Resource cleanup completed", 1)]),
    sample("2_advanced_features/callback/2_callback_exception", &[("sample successfully", 1)]),
    Sample {
        folder: "2_advanced_features/kernel/0_launch_kernel",
        program: CUSTOM,
        says: &[("sample successfully", 1)],
    },
    sample("2_advanced_features/model_ri/2_model_switch", &[("3.4000  3.4000", 8), ("4.4000  4.4000", 4)]),
    sample("2_advanced_features/model_ri/3_cond_model", &[("All tests PASSED", 1)]),
    sample("2_advanced_features/kernel/1_launch_kernel_with_reslimit", &[("Hello World", 8)]),
    sample("3_memory_advanced/host_register/0_simple_zero_copy", &[("sample successfully", 1)]),
    Sample {
        folder: "3_memory_advanced/managed_memory/0_uvm_allocate",
        program: CUSTOM,
        says: &[("[SKIP]", 1)],
    },
];

/// Samples of two programs, `proc_a` and `proc_b`, that share a served device; what they must print together.
const PAIRS: &[Sample] = &[
    sample("1_basic_features/memory/7_physical_memory_sharing_withpid", COPIED),
    sample("1_basic_features/memory/8_physical_memory_sharing_withoutpid", COPIED),
    sample("1_basic_features/memory/10_ipc_memory_withpid", COPIED),
    sample("1_basic_features/memory/11_ipc_memory_withoutpid", COPIED),
    sample("2_advanced_features/notify/0_ipc_notify_withpid", COPIED),
    sample("2_advanced_features/notify/1_ipc_notify_withoutpid", COPIED),
];

/// Samples that this test cannot run.
const MISSING: &[(&str, &str)] =
    &[("1_basic_features/memory/12_cross_server_physical_memory_sharing_withoutpid", "two machines")];

fn main() {
    let all = PROGRAMS.iter().map(|p| p.0).chain(SAMPLES.iter().chain(PAIRS).map(|s| s.folder));
    let skip_all =
        |why: &str| report("kernels", &[""], &all.clone().map(|name| skipped(name, why)).collect::<Vec<_>>());
    if sanitized() {
        skip_all("skipped: kernels run in a process without AddressSanitizer");
        return;
    }
    if !has_clang() {
        skip_all("skipped: no clang 16 or newer (Debian: clang-19)");
        return;
    }
    let workspace = Workspace::build();
    let mut rows: Vec<Line> = PROGRAMS.iter().map(|(name, args)| program(&workspace, name, args)).collect();
    match env::var_os("VINCI_CANN_SAMPLES").map(PathBuf::from) {
        None => {
            let all = SAMPLES.iter().chain(PAIRS);
            rows.extend(all.map(|s| skipped(s.folder, "skipped: set VINCI_CANN_SAMPLES")));
        }
        Some(root) => {
            let root = if root.join("example").is_dir() { root.join("example") } else { root };
            rows.extend(SAMPLES.iter().map(|s| attempt(&workspace, &root, s, None)));
            // Some of them want four devices.
            let (profile, chip) = (
                workspace.root.join("driver/device/profiles/910c.toml"),
                workspace.scratch.join("four.toml"),
            );
            let text = fs::read_to_string(profile).expect("the profile can be read");
            fs::write(&chip, text.replace("\ndies = 2\n", "\ndies = 4\n"))
                .expect("the target folder can be written");
            let home = served(&workspace, Some(&chip));
            rows.extend(PAIRS.iter().map(|s| attempt(&workspace, &root, s, Some(&home))));
            rows.extend(
                MISSING.iter().map(|(name, what)| skipped(name, &format!("not in this version: {what}"))),
            );
        }
    }
    if !report("kernels", &[""], &rows) {
        process::exit(1);
    }
}

fn has_clang() -> bool {
    let works = |name: &str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    (16..=30).any(|version| works(&format!("clang-{version}")))
}

fn skipped(name: &str, why: &str) -> Line {
    Line::once(name, Verdict::Skip, why, Duration::ZERO)
}

/// `vinci cc` of this build.
fn vinci_cc(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.lib.join("vinci"));
    command.arg("cc").env("VINCI_ASCENDC_INCLUDE", workspace.include.join("ascendc"));
    command
}

/// Builds and runs a program of ours.
fn program(workspace: &Workspace, name: &str, args: &[&str]) -> Line {
    let fail = |detail: String, time| Line::once(name, Verdict::Fail, detail, time);
    let source = workspace.root.join(format!("tests/conformance/kernels/{name}.cpp"));
    let place = workspace.scratch.join("kernels");
    fs::create_dir_all(&place).expect("the target folder can be written");
    let (object, code, binary) =
        (place.join(format!("{name}.o")), place.join(format!("{name}.code.o")), place.join(name));
    let mut host = vinci_cc(workspace);
    host.args(["-g", "-c"]).arg(&source).arg("-o").arg(&object);
    let mut device = vinci_cc(workspace);
    device.arg("-g").arg(&source).arg("-o").arg(&code);
    let mut link = workspace.compiler(Path::new("main.cpp"));
    link.arg(&object).arg("-o").arg(&binary);
    workspace.link(&mut link, &["ascendcl"]);
    for step in [host, device, link] {
        if let Some(text) = compile(step).expect("the compiler runs") {
            return fail(format!("does not build:\n{text}"), Duration::ZERO);
        }
    }
    let mut command = workspace.command(&binary);
    command.current_dir(&place).arg(&code).args(args).env("VINCI_LOG", "off");
    // What has all its flags is called no race.
    command.env("VINCI_RACES", "error");
    let outcome = run(command).expect("the program runs");
    match outcome.failure {
        None => Line::once(name, Verdict::Pass, "", outcome.time),
        Some(why) => fail(format!("{why}\n{}", outcome.output), outcome.time),
    }
}

/// A folder shaped like CANN's, as samples want it.
fn installation(workspace: &Workspace) -> PathBuf {
    let home = workspace.scratch.join("cann");
    fs::create_dir_all(&home).expect("the target folder can be written");
    for (name, to) in [("include", &workspace.include), ("lib64", &workspace.lib)] {
        let link = home.join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(to, link).expect("a link can be made");
    }
    home
}

/// Builds a sample with its own CMakeLists.txt, and runs it: where there is a shared home, as two programs in it.
fn attempt(workspace: &Workspace, root: &Path, sample: &Sample, shared: Option<&Home>) -> Line {
    let fail = |detail: String, time| Line::once(sample.folder, Verdict::Fail, detail, time);
    let source = root.join(sample.folder);
    if !source.is_dir() {
        return fail(format!("{} is not there", source.display()), Duration::ZERO);
    }
    let home = installation(workspace);
    let place = workspace.scratch.join("samples").join(sample.folder.replace('/', "-"));
    let _ = fs::remove_dir_all(&place);
    for folder in ["output", "file"] {
        fs::create_dir_all(place.join(folder)).expect("the target folder can be written");
    }
    let build = place.join("build");
    let cmake = |args: &[&std::ffi::OsStr]| {
        let mut command = Command::new("cmake");
        command.args(args).env("SOC_VERSION", "Ascend910B1");
        command.env("ASCENDC_CMAKE_DIR", workspace.include.join("ascendc/cmake"));
        command.env("VINCI_CC", workspace.lib.join("vinci"));
        command.env("VINCI_ASCENDC_INCLUDE", workspace.include.join("ascendc"));
        command
    };
    let mut configure = cmake(&["-S".as_ref(), source.as_ref(), "-B".as_ref(), build.as_ref()]);
    configure.arg(format!("-DASCEND_CANN_PACKAGE_PATH={}", home.display()));
    configure.arg(format!("-DCMAKE_INSTALL_PREFIX={}", place.join("out").display()));
    let make = cmake(&["--build".as_ref(), build.as_ref()]);
    let install =
        cmake(&["--install".as_ref(), build.as_ref(), "--prefix".as_ref(), place.join("out").as_ref()]);
    for (step, needed) in [(configure, true), (make, true), (install, false)] {
        match compile(step) {
            Err(_) => return skipped(sample.folder, "skipped: no cmake (Debian: cmake)"),
            Ok(Some(text)) if needed => return fail(format!("does not build:\n{text}"), Duration::ZERO),
            Ok(_) => {}
        }
    }
    let expected = inputs(&place);
    let start = |program: &str| {
        let mut command = workspace.command(&build.join(program));
        command.current_dir(&place).arg("placeholder").env("VINCI_LOG", "off");
        if let Some(home) = shared {
            home.set(&mut command);
        }
        thread::spawn(|| run(command).expect("the sample runs"))
    };
    let programs: &[&str] = if shared.is_some() { &["proc_a", "proc_b"] } else { &[sample.program] };
    let running: Vec<_> = programs.iter().map(|program| start(program)).collect();
    let outcome = running.into_iter().map(|thread| thread.join().expect("the sample ends")).reduce(|a, b| {
        Outcome { output: a.output + &b.output, failure: a.failure.or(b.failure), time: a.time.max(b.time) }
    });
    let outcome = outcome.expect("there is a program");
    let says_all = |(text, times): &(&str, usize)| outcome.output.matches(text).count() >= *times;
    if let Some(why) = outcome.failure {
        return fail(format!("{why}\n{}", outcome.output), outcome.time);
    }
    if let Some((text, times)) = sample.says.iter().find(|s| !says_all(s)) {
        return fail(format!("does not say {text:?} {times} times\n{}", outcome.output), outcome.time);
    }
    if let Ok(result) = fs::read(place.join("output/output_z.bin"))
        && result != expected
    {
        return fail("its output is not the sum of its inputs".into(), outcome.time);
    }
    Line::once(sample.folder, Verdict::Pass, "", outcome.time)
}

/// Writes the inputs that samples of a vector addition read; the sum.
fn inputs(place: &Path) -> Vec<u8> {
    // float16 of 1, 2, 3 and 4, and sums of two of them.
    const HALVES: [u16; 9] = [0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800];
    let (x, y): (Vec<usize>, Vec<usize>) = (0..8 * 2048).map(|i| (1 + i % 4, 1 + i / 4 % 4)).unzip();
    let bytes = |values: &mut dyn Iterator<Item = usize>| -> Vec<u8> {
        values.flat_map(|v| HALVES[v].to_le_bytes()).collect()
    };
    fs::create_dir_all(place.join("input")).expect("the target folder can be written");
    fs::write(place.join("input/input_x.bin"), bytes(&mut x.iter().copied())).expect("inputs");
    fs::write(place.join("input/input_y.bin"), bytes(&mut y.iter().copied())).expect("inputs");
    bytes(&mut x.iter().zip(&y).map(|(a, b)| a + b))
}
