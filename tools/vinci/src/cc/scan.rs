//! Kernels and launches in a preprocessed file: what has to be found in the text because the compiler does not tell.

/// A kernel that a file defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How the source calls it from outside its namespaces, with template arguments where there are some.
    pub name: String,
    /// Kind of cores, as in a code object's note.
    pub kind: u32,
}

/// A launch: `callee<<<blocks, l2ctrl, stream>>>(arguments)`, as byte ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Launch {
    start: usize,
    end: usize,
}

const GLOBAL: &str = "__attribute__((global))";

/// The kernels of `text`, which the preprocessor has written.
pub fn kernels(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut scopes: Vec<Option<&str>> = Vec::new();
    let mut found: Vec<Found> = Vec::new();
    let mut templates: Vec<(String, u32)> = Vec::new();
    let (mut at, mut statement, mut body) = (0, 0, None::<(usize, usize, bool)>);
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => at = after_literal(bytes, at),
            b'#' if at == 0 || bytes[at - 1] == b'\n' => at = line_end(bytes, at),
            b';' => {
                at += 1;
                statement = at;
            }
            b'{' => {
                scopes.push(namespace(&text[statement..at]));
                at += 1;
                statement = at;
            }
            b'}' => {
                scopes.pop();
                body = body.filter(|(_, depth, _)| scopes.len() != *depth);
                at += 1;
                statement = at;
            }
            b'_' if bytes[at..].starts_with(b"__vinci_kernel_type<") => {
                let rest = &text[at + "__vinci_kernel_type<".len()..];
                let value = rest.split('>').next().unwrap_or_default();
                if let (Some((index, _, template)), Some(kind)) = (body, kind_of(value)) {
                    if template { templates[index].1 = kind } else { found[index].kind = kind }
                }
                at += 1;
            }
            b'_' if bytes[at..].starts_with(GLOBAL.as_bytes()) => {
                let is_template = has_word(&text[statement..at], "template");
                let Some((name, end, kind)) = declarator(text, at + GLOBAL.len()) else {
                    at += 1;
                    continue;
                };
                // A declaration ends here; a definition has a body.
                let defined = text[end..].trim_start().starts_with('{');
                if defined {
                    let path: Vec<&str> =
                        scopes.iter().flatten().copied().filter(|s| !s.is_empty()).collect();
                    let full = if path.is_empty() { name } else { format!("{}::{name}", path.join("::")) };
                    if is_template {
                        body = Some((templates.len(), scopes.len(), true));
                        templates.push((full, kind));
                    } else if !found.iter().any(|f| f.name == full) {
                        body = Some((found.len(), scopes.len(), false));
                        found.push(Found { name: full, kind });
                    }
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    // Templates are kernels for the arguments that launches name.
    for launch in launches(text) {
        let callee = callee(&text[launch.start..launch.end]);
        let Some((base, _)) = callee.split_once('<') else { continue };
        let last = base.trim().rsplit("::").next().unwrap_or_default();
        let template = templates.iter().find(|(name, _)| name.rsplit("::").next() == Some(last));
        if let Some((_, kind)) = template
            && !found.iter().any(|f| f.name == callee)
        {
            found.push(Found { name: callee.to_owned(), kind: *kind });
        }
    }
    found
}

/// `text` for the device: kernels are functions of the device, nothing is launched, and a trap is the host's.
pub fn for_device(text: &str) -> String {
    let templates: Vec<Found> = kernels(text).into_iter().filter(|k| k.name.contains('<')).collect();
    let text = replace(text, |launch| {
        let callee = callee(launch);
        match templates.iter().find(|k| k.name == callee) {
            // The instance may depend on what is known here only.
            Some(k) => format!("(::vinci::entry_of<&{callee},{}>())", k.kind),
            None => "(0)".into(),
        }
    });
    text.replace(GLOBAL, "__attribute__((host,device))").replace("(\"trap\")", "(\"ud2\")")
}

/// `text` for the host: a launch has a value.
pub fn for_host(text: &str) -> String {
    replace(text, |launch| format!("({launch},::vinci::launched())"))
}

fn replace(text: &str, with: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for launch in launches(text) {
        out.push_str(&text[at..launch.start]);
        let old = &text[launch.start..launch.end];
        out.push_str(&with(old));
        // Lines keep their numbers.
        let new_lines = with(old).matches('\n').count();
        out.extend(std::iter::repeat_n('\n', old.matches('\n').count().saturating_sub(new_lines)));
        at = launch.end;
    }
    out.push_str(&text[at..]);
    out
}

fn launches(text: &str) -> Vec<Launch> {
    let bytes = text.as_bytes();
    let (mut all, mut at) = (Vec::new(), 0);
    while at + 3 <= bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => at = after_literal(bytes, at),
            b'#' if at == 0 || bytes[at - 1] == b'\n' => at = line_end(bytes, at),
            b'<' if bytes[at..].starts_with(b"<<<") => {
                let end = text[at..].find(">>>").map(|n| at + n + 3);
                let open = end.and_then(|e| {
                    text[e..].find('(').filter(|&n| text[e..e + n].trim().is_empty()).map(|n| e + n)
                });
                match open.and_then(|open| after_group(bytes, open)) {
                    Some(end) => {
                        all.push(Launch { start: callee_start(bytes, at), end });
                        at = end;
                    }
                    None => at += 3,
                }
            }
            _ => at += 1,
        }
    }
    all
}

/// Where the expression that is launched begins: a name with scopes and template arguments.
fn callee_start(bytes: &[u8], end: usize) -> usize {
    let mut at = end;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    while at > 0 && bytes[at - 1].is_ascii_whitespace() {
        at -= 1;
    }
    loop {
        if at > 0 && bytes[at - 1] == b'>' {
            let mut depth = 0;
            while at > 0 {
                at -= 1;
                match bytes[at] {
                    b'>' => depth += 1,
                    b'<' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else if at > 0 && word(bytes[at - 1]) {
            at -= 1;
        } else {
            return at;
        }
    }
}

fn callee(launch: &str) -> &str {
    launch.split("<<<").next().unwrap_or_default().trim()
}

/// The name of the function whose head goes on at `at`, where its parameters end, and its kind of cores.
fn declarator(text: &str, mut at: usize) -> Option<(String, usize, u32)> {
    let bytes = text.as_bytes();
    let (mut name, mut kind) = ("", 0);
    loop {
        match bytes.get(at)? {
            b if b.is_ascii_whitespace() => at += 1,
            b'#' => at = line_end(bytes, at),
            b'(' if name == "__attribute__"
                || name == "annotate"
                || name == "alignas"
                || name == "decltype" =>
            {
                let end = after_group(bytes, at)?;
                kind = kind_of(&text[at..end]).unwrap_or(kind);
                at = end;
                name = "";
            }
            b'(' => {
                let end = after_group(bytes, at)?;
                return (!name.is_empty()).then(|| (name.to_owned(), end, kind));
            }
            b if b.is_ascii_alphabetic() || *b == b'_' => {
                let start = at;
                while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                    at += 1;
                }
                name = &text[start..at];
            }
            b';' | b'{' | b'}' => return None,
            _ => at += 1,
        }
    }
}

/// Kind of cores that a word of the headers names.
fn kind_of(text: &str) -> Option<u32> {
    let pairs = [
        ("vinci.kind.2", 2),
        ("vinci.kind.1", 1),
        ("vinci.kind.mix.1.0", 1),
        ("vinci.kind.mix.0.1", 2),
        ("vinci.kind.mix.1.1", 3),
        ("vinci.kind.mix.1.2", 4),
        ("KERNEL_TYPE_AIV_ONLY", 2),
        ("KERNEL_TYPE_AIC_ONLY", 1),
        ("KERNEL_TYPE_MIX_AIV_1_0", 2),
        ("KERNEL_TYPE_MIX_AIC_1_0", 1),
        ("KERNEL_TYPE_MIX_AIC_1_1", 3),
        ("KERNEL_TYPE_MIX_AIC_1_2", 4),
    ];
    // The preprocessor leaves literals side by side.
    let text = text.replace("\" \"", "");
    pairs.iter().find(|(word, _)| text.contains(word)).map(|p| p.1)
}

/// The name of the namespace that `head` opens: `Some("")` for `extern "C"` and namespaces without a name, `None` for
/// any other brace.
fn namespace(head: &str) -> Option<&str> {
    let head = head.trim();
    let rest = head
        .rsplit_once("namespace")
        .filter(|(before, _)| before.is_empty() || before.ends_with(|c: char| c.is_whitespace()));
    match rest {
        Some((_, name)) => {
            Some(name.trim()).filter(|n| n.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':'))
        }
        None => None,
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n + 1)
}

fn after_literal(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    // A digit separator is no literal.
    if quote == b'\'' && start > 0 && bytes[start - 1].is_ascii_hexdigit() {
        return start + 1;
    }
    if quote == b'"' && start > 0 && bytes[start - 1] == b'R' {
        let open = bytes[start..].iter().position(|&b| b == b'(').map_or(bytes.len(), |n| start + n);
        let mut close = vec![b')'];
        close.extend(bytes.get(start + 1..open).unwrap_or(&[]));
        close.push(b'"');
        let body = bytes.get(open..).unwrap_or(&[]);
        let end = body.windows(close.len()).position(|w| w == close);
        return end.map_or(bytes.len(), |n| open + n + close.len());
    }
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote && bytes[at] != b'\n' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Behind the group that begins with the parenthesis at `start`.
fn after_group(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => {
                at = after_literal(bytes, at);
                continue;
            }
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: &str = GLOBAL;

    fn names(text: &str) -> Vec<String> {
        kernels(text).into_iter().map(|f| f.name).collect()
    }

    #[test]
    fn kernels_are_found_where_they_are_defined() {
        let text = format!(
            "# 1 \"a.cpp\"\nextern \"C\" {G} void add(float *x, int n) {{ x[0] = '{{'; }}\n\
             {G} void only_declared(int);\nnamespace a {{ namespace {{ {G} inline void b() {{}} }} {G} void c(int (*f)(int)) {{}} }}"
        );
        assert_eq!(names(&text), ["add", "a::b", "a::c"]);
    }

    #[test]
    fn kinds_come_from_the_head_or_the_body() {
        let text = format!(
            "{G} __attribute__((annotate(\"vinci.kind.mix.\" \"1\" \".\" \"2\"))) void m() {{}}\n\
             {G} void v() {{ __vinci_kernel_type<KERNEL_TYPE_AIV_ONLY>(); }} {G} void w() {{}}"
        );
        let kinds: Vec<u32> = kernels(&text).iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [4, 2, 0]);
    }

    #[test]
    fn templates_are_kernels_for_what_is_launched() {
        let text = format!(
            "template <typename T> {G} void k(T *x) {{}}\nvoid go(void *s) {{ k<float><<<8, nullptr, s>>>(p); k<int><<<1,0,s>>>(q); }}"
        );
        assert_eq!(names(&text), ["k<float>", "k<int>"]);
    }

    #[test]
    fn launches_are_expressions() {
        let text = "int f() { return static_cast<int>(a::k<<<n(1), nullptr,\n s>>>(x, g(y))); }";
        assert_eq!(
            for_host(text),
            "int f() { return static_cast<int>((a::k<<<n(1), nullptr,\n s>>>(x, g(y)),::vinci::launched())); }"
        );
        assert_eq!(for_device(text), "int f() { return static_cast<int>((0)\n); }");
        assert_eq!(for_host("a << b; char *s = \"<<<\"; '<';"), "a << b; char *s = \"<<<\"; '<';");
    }
}
