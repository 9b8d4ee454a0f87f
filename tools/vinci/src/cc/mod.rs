//! `vinci cc`: compiles Ascend C with stock clang.
//!
//! A file goes through the preprocessor once for each half. The device's half becomes a code object: kernels for the
//! host's own instruction set, with notes. The host's half becomes an ordinary object that holds the code object and
//! registers it before main.

pub(crate) mod clang;
pub mod scan;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clang::Clang;

/// Text below the options.
pub const EXAMPLES: &str = "\
  vinci cc add_custom.cpp -o add_custom.o            a code object, for aclrtBinaryLoadFromFile
  vinci cc -c kernels.cpp -o kernels.o               an object of a program, with launches: kernel<<<…>>>(…)
  vinci cc -c kernels.cpp -o kernels.o && c++ main.cpp kernels.o -lascendcl
  vinci cc -g add_custom.cpp -o add_custom.o         faults name lines of the source

CMake: include(ascendc.cmake) from the folder that `vinci cc --cmake-dir` prints, then ascendc_library(NAME STATIC …).";

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Source files with kernels
    #[arg(required_unless_present = "cmake_dir", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the result goes
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Make an object to be linked into a program, not a code object
    #[arg(short = 'c')]
    host: bool,
    /// Keep lines of the source for fault reports
    #[arg(short = 'g')]
    debug: bool,
    /// Optimisation: 0, 1, 2, 3 or s
    #[arg(short = 'O', default_value = "2", value_name = "LEVEL")]
    optimise: String,
    /// Folder of headers; may be repeated
    #[arg(short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Macro; may be repeated
    #[arg(short = 'D', value_name = "NAME[=VALUE]")]
    define: Vec<String>,
    /// Language standard
    #[arg(long = "std", default_value = "c++17", value_name = "STANDARD")]
    standard: String,
    /// Chip to compile for, such as Ascend910B1 or 910c
    #[arg(long, env = "SOC_VERSION", value_name = "CHIP")]
    soc: Option<String>,
    /// Architecture to compile for, such as dav-2201, instead of a chip
    #[arg(long = "npu-arch", value_name = "ARCH")]
    arch: Option<String>,
    /// Option of both halves' compiler; may be repeated
    #[arg(short = 'f', value_name = "OPTION", hide = true)]
    features: Vec<String>,
    /// Option about warnings; may be repeated
    #[arg(short = 'W', value_name = "OPTION", hide = true)]
    warnings: Vec<String>,
    /// x86-64 level of the machines that will run the kernels: 2, 3 or 4 [default: this machine's]
    #[arg(long, value_name = "LEVEL")]
    level: Option<u32>,
    /// Options for clang's half of the host; may be repeated
    #[arg(long = "host-option", value_name = "OPTION", allow_hyphen_values = true)]
    host_options: Vec<String>,
    /// clang to compile with [default: clang-19, or the newest there is]
    #[arg(long, env = "VINCI_CLANG", value_name = "PATH")]
    clang: Option<PathBuf>,
    /// Print the folder of ascendc.cmake
    #[arg(long)]
    cmake_dir: bool,
}

/// The headers: in an installation, beside this program, or where the variable says.
fn headers() -> Result<PathBuf> {
    let candidates = [
        env::var_os("VINCI_ASCENDC_INCLUDE").map(PathBuf::from),
        beside("../include/ascendc"),
        beside("../../ffi/include/ascendc"),
        beside("../../../ffi/include/ascendc"),
    ];
    let found = candidates.into_iter().flatten().find(|dir| dir.join("kernel_operator.h").is_file());
    found.context("kernel_operator.h is not beside this program; set VINCI_ASCENDC_INCLUDE to its folder")
}

fn beside(path: &str) -> Option<PathBuf> {
    let exe = env::current_exe().ok()?;
    exe.parent()?.join(path).canonicalize().ok()
}

/// Runs the compiler driver.
pub fn run(args: &Args) -> Result<()> {
    let headers = headers()?;
    if args.cmake_dir {
        println!("{}", headers.join("cmake").display());
        return Ok(());
    }
    let clang = Clang::find(args.clang.as_deref())?;
    let chip = match &args.arch {
        Some(arch) => Chip::of_arch(arch)?,
        None => Chip::named(args.soc.as_deref())?,
    };
    let scratch = Scratch::new()?;
    let output = match &args.output {
        Some(path) => path.clone(),
        None if args.files.len() == 1 => args.files[0].with_extension("o"),
        None => bail!("several files need -o"),
    };
    let job = Job { args, headers: &headers, clang: &clang, chip: &chip, scratch: &scratch.0 };
    if args.host {
        let [file] = &args.files[..] else { bail!("-c takes one file") };
        let code = job.code_object(std::slice::from_ref(file))?;
        job.host_object(file, code.as_deref(), &output)
    } else {
        let code = job
            .code_object(&args.files)?
            .context("there is no kernel (`__global__ __aicore__`) in the source")?;
        fs::copy(&code, &output).with_context(|| output.display().to_string())?;
        Ok(())
    }
}

/// The chip that kernels are compiled for.
struct Chip {
    name: String,
    arch: u32,
}

impl Chip {
    fn of_arch(arch: &str) -> Result<Chip> {
        match arch.trim_start_matches("dav-") {
            "2201" => Ok(Chip { name: String::new(), arch: 2201 }),
            "3510" => Ok(Chip { name: String::new(), arch: 3510 }),
            _ => bail!("{arch}: kernels are compiled for dav-2201 and dav-3510"),
        }
    }

    fn named(soc: Option<&str>) -> Result<Chip> {
        let Some(soc) = soc.filter(|s| !s.is_empty()) else {
            return Ok(Chip { name: String::new(), arch: 2201 });
        };
        let lower = soc.to_ascii_lowercase();
        let arch = if lower.contains("950") || lower == "920" {
            3510
        } else if lower.contains("910b") || lower.contains("910_93") || lower.contains("910c") {
            2201
        } else {
            bail!("{soc}: kernels are compiled for 910B, 910C and 950 chips")
        };
        Ok(Chip { name: soc.to_owned(), arch })
    }
}

/// A folder for what is in between, which goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = env::temp_dir().join(format!("vinci-cc-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Job<'a> {
    args: &'a Args,
    headers: &'a Path,
    clang: &'a Clang,
    chip: &'a Chip,
    scratch: &'a Path,
}

impl Job<'_> {
    /// What both halves are compiled with.
    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("-std={}", self.args.standard),
            format!("-O{}", self.args.optimise),
            "-D__VINCI_CC__=1".into(),
            format!("-I{}", self.headers.display()),
            format!("-I{}", self.headers.join("..").display()),
            format!("-D__NPU_ARCH__={}", self.chip.arch),
            "-fPIC".into(),
        ];
        if self.args.debug {
            flags.push("-g".into());
        }
        flags.extend(self.args.features.iter().map(|f| format!("-f{f}")));
        flags.extend(self.args.warnings.iter().map(|w| format!("-W{w}")));
        flags.extend(self.args.include.iter().map(|dir| format!("-I{}", dir.display())));
        flags.extend(self.args.define.iter().map(|d| format!("-D{d}")));
        flags
    }

    fn path(&self, name: &str, index: usize, extension: &str) -> PathBuf {
        self.scratch.join(format!("{name}{index}.{extension}"))
    }

    /// Compiles the kernels of `files` into one code object; `None` if there is none.
    fn code_object(&self, files: &[PathBuf]) -> Result<Option<PathBuf>> {
        let level = self.args.level.unwrap_or_else(|| vinci_code::Level::here().0);
        let mut objects = Vec::new();
        let mut count = 0;
        for (i, file) in files.iter().enumerate() {
            let mut flags = self.flags();
            flags.push("-D__VINCI_DEVICE__=1".into());
            flags.push(format!(
                "-march={}",
                if level >= 3 { format!("x86-64-v{level}") } else { "x86-64-v2".into() }
            ));
            flags.extend(
                [
                    "-fvisibility=hidden",
                    "-fno-exceptions",
                    "-fno-rtti",
                    "-fno-stack-protector",
                    "-fno-omit-frame-pointer",
                ]
                .map(String::from),
            );
            flags.extend(
                ["-fno-math-errno", "-ffp-contract=off", "-mprefer-vector-width=512"].map(String::from),
            );
            // It would become puts, which a kernel has not.
            flags.push("-fno-builtin-printf".into());
            let cc1 = self.clang.frontend(&flags, file)?;
            let (raw, cooked) = (self.path("device", i, "raw.ii"), self.path("device", i, "ii"));
            self.clang.preprocess(&cc1, true, &raw)?;
            let text = fs::read_to_string(&raw).with_context(|| raw.display().to_string())?;
            let kernels = scan::kernels(&text);
            if kernels.is_empty() {
                continue;
            }
            let mut text = scan::for_device(&text);
            text.push_str("\n# 1 \"<kernels>\"\n");
            // Instances of templates have theirs where they are launched.
            for kernel in kernels.iter().filter(|k| !k.name.contains('<')) {
                writeln!(text, "{}", entry(count, &kernel.name, kernel.kind))?;
                count += 1;
            }
            if objects.is_empty() {
                writeln!(text, "{}", made(self.chip, level))?;
            }
            fs::write(&cooked, text).with_context(|| cooked.display().to_string())?;
            let object = self.path("device", i, "o");
            self.clang.compile_device(&cc1, &cooked, &object)?;
            objects.push(object);
        }
        if objects.is_empty() {
            return Ok(None);
        }
        let code = self.scratch.join("code.o");
        self.clang.link(&objects, &code, self.args.debug)?;
        let bytes = fs::read(&code)?;
        // What the device would refuse is better refused now.
        match vinci_code::CodeObject::parse(&bytes, 0) {
            Ok(_) | Err(vinci_code::CodeError::Level(..)) => Ok(Some(code)),
            Err(e) => {
                bail!("{}: {e}", files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Compiles the host's half of `file`, with the code object in it.
    fn host_object(&self, file: &Path, code: Option<&Path>, output: &Path) -> Result<()> {
        let mut flags = self.flags();
        flags.extend(self.args.host_options.iter().cloned());
        let cc1 = self.clang.frontend(&flags, file)?;
        let (raw, cooked) = (self.path("host", 0, "raw.ii"), self.path("host", 0, "ii"));
        self.clang.preprocess(&cc1, false, &raw)?;
        let text = fs::read_to_string(&raw).with_context(|| raw.display().to_string())?;
        fs::write(&cooked, scan::for_host(&text)).with_context(|| cooked.display().to_string())?;
        self.clang.compile_host(&cc1, &cooked, code, output)
    }
}

/// The text that gives kernel `name` its entry and its note. The preprocessor is through already, so it is no macro.
fn entry(number: usize, name: &str, kind: u32) -> String {
    ENTRY.replace("@N@", &number.to_string()).replace("@NAME@", name).replace("@KIND@", &kind.to_string())
}

const ENTRY: &str = r#"__attribute__((device, used, visibility("hidden"))) constexpr auto __vinci_layout_@N@ = ::vinci::Signature<decltype(@NAME@)>::layout::table;
extern "C" __attribute__((device, used, noinline, visibility("hidden"))) void __vinci_entry_@N@(const unsigned char *args) {
using Of = ::vinci::Signature<decltype(@NAME@)>;
__asm__ volatile(".pushsection .note.vinci,\"a\",@note\n.balign 4\n.long 6,2f-1f,2\n.asciz \"Vinci\"\n.balign 4\n1:.long __vinci_entry_@N@-.\n.long %c0,%c1,%c2\n.long %c3-.\n.asciz \"%c4\"\n2:.balign 4\n.popsection" : : "i"(@KIND@), "i"(Of::layout::count), "i"(Of::layout::table.bytes), "i"(&__vinci_layout_@N@), "i"(&@NAME@));
Of::call(&@NAME@, args); }"#;

/// The text that says how the object was made. It stands in a function, since a device has no other assembly.
fn made(chip: &Chip, level: u32) -> String {
    let (name, arch) = (&chip.name, chip.arch);
    format!(
        r#"extern "C" __attribute__((device, used, visibility("hidden"))) void __vinci_made() {{
__asm__ volatile(".pushsection .note.vinci,\"a\",@note\n.balign 4\n.long 6,2f-1f,1\n.asciz \"Vinci\"\n.balign 4\n1:.long 1,{arch},{level},0\n.asciz \"{name}\"\n2:.balign 4\n.popsection"); }}"#
    )
}
