//! The modules of a crate as files, and the graph of what they import. The layout tests of the data
//! plane's crates and of the operator share this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub struct Module {
    /// Its path below `src`, without `.rs`: `server/grpc/body`.
    pub name: String,
    /// Its text without comment lines and without the tests at its end.
    pub code: String,
}

/// Every source file below `root`, except tests and test doubles.
pub fn modules(root: &Path) -> Vec<Module> {
    let mut files = Vec::new();
    collect(root, &mut files);
    let modules = files.iter().map(|path| Module {
        name: path
            .strip_prefix(root)
            .expect("a path below the root")
            .with_extension("")
            .display()
            .to_string(),
        code: code(&fs::read_to_string(path).expect("a source file")),
    });
    let is_test = |name: &str| {
        name.split('/')
            .any(|part| ["tests", "testing"].contains(&part))
    };
    let mut modules: Vec<_> = modules.filter(|module| !is_test(&module.name)).collect();
    modules.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!modules.is_empty(), "no sources in {}", root.display());
    modules
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The text without comment lines, and without the test module, which is the last item of a file.
pub fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = code.lines();
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Pairs of importer and imported file.
///
/// An import is a path that names an item of another file: one that begins with `crate`, `super`,
/// `self` or a child module. An item that a file re-exports counts as an import of the file that
/// defines it, and a re-export by itself is no import.
pub fn imports(modules: &[Module]) -> BTreeSet<(String, String)> {
    let graph = Graph::new(modules);
    let edges = modules.iter().flat_map(|module| {
        let imported = graph.imports(module).into_iter();
        imported.map(|imported| (module.name.clone(), imported))
    });
    edges.collect()
}

/// The circles of imports, each with its edges as `importer -> imported`. A module root that uses
/// its children is in a circle with each child that uses an item of the root.
pub fn circles(modules: &[Module]) -> Vec<Vec<String>> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (importer, imported) in imports(modules) {
        edges.entry(importer).or_default().insert(imported);
    }
    // What remains after the removal of files that import nothing of the rest, or that nothing of
    // the rest imports, are the circles and the paths between them.
    loop {
        let before = edges.len();
        let names: BTreeSet<String> = edges.keys().cloned().collect();
        for imports in edges.values_mut() {
            imports.retain(|import| names.contains(import));
        }
        edges.retain(|_, imports| !imports.is_empty());
        let imported: BTreeSet<String> = edges.values().flatten().cloned().collect();
        edges.retain(|name, _| imported.contains(name));
        if edges.len() == before {
            break;
        }
    }
    let mut circles = Vec::new();
    while let Some(first) = edges.keys().next().cloned() {
        let forth = reached(&first, &edges);
        let circle: BTreeSet<String> = forth
            .into_iter()
            .filter(|name| reached(name, &edges).contains(&first))
            .collect();
        let inside = edges
            .iter()
            .filter(|(name, _)| circle.contains(*name))
            .flat_map(|(name, imports)| {
                let imports = imports.iter().filter(|import| circle.contains(*import));
                imports.map(move |import| format!("{name} -> {import}"))
            });
        let inside: Vec<String> = inside.collect();
        if !inside.is_empty() {
            circles.push(inside);
        }
        edges.remove(&first);
        edges.retain(|name, _| !circle.contains(name));
    }
    circles
}

fn reached(from: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(name) = next.pop() {
        for import in edges.get(&name).into_iter().flatten() {
            if found.insert(import.clone()) {
                next.push(import.clone());
            }
        }
    }
    found
}

/// The number of lines of the function `name`, from its signature to its closing brace.
pub fn function_lines(code: &str, name: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let is_start = |line: &&str| {
        let line = line.trim_start();
        [format!("fn {name}("), format!("fn {name}<")]
            .iter()
            .any(|start| line.contains(start.as_str()))
    };
    let start = lines
        .iter()
        .position(is_start)
        .unwrap_or_else(|| panic!("no function {name}"));
    let indent = lines[start].len() - lines[start].trim_start().len();
    let end = format!("{}}}", " ".repeat(indent));
    let length = lines[start..].iter().position(|line| *line == end);
    length.expect("a closing brace") + 1
}

type Names = BTreeMap<String, Vec<String>>;

struct Graph {
    /// Every file, by its segments.
    files: BTreeSet<String>,
    /// What each file imports: a name, and the path behind it.
    uses: BTreeMap<String, Names>,
}

impl Graph {
    fn new(modules: &[Module]) -> Self {
        let files = modules.iter().map(|module| module.name.clone()).collect();
        let uses = modules.iter().map(|module| {
            let (uses, _) = split_uses(&module.code);
            let names = uses.into_iter().map(|used| (used.name, used.path));
            (module.name.clone(), names.collect())
        });
        Self {
            files,
            uses: uses.collect(),
        }
    }

    fn imports(&self, module: &Module) -> BTreeSet<String> {
        let (uses, rest) = split_uses(&module.code);
        let used = uses.into_iter().filter(|used| !used.public);
        let paths = used.map(|used| used.path).chain(paths(&rest));
        let mut imports: BTreeSet<String> = paths
            .filter_map(|path| self.definer(&module.name, &path))
            .collect();
        imports.remove(&module.name);
        imports
    }

    /// The file that defines what `path` names in `module`; `None` for another crate's item.
    fn definer(&self, module: &str, path: &[String]) -> Option<String> {
        let mut seen = BTreeSet::new();
        let (mut file, mut item) = self.resolve(module, path)?;
        while let Some(first) = item.first()
            && seen.insert((file.clone(), first.clone()))
            && let Some(behind) = self.uses.get(&file).and_then(|names| names.get(first))
        {
            let (next, mut rest) = self.resolve(&file, behind)?;
            rest.extend_from_slice(&item[1..]);
            (file, item) = (next, rest);
        }
        Some(file)
    }

    /// The longest file name that `path` begins with, and the path's rest.
    fn resolve(&self, module: &str, path: &[String]) -> Option<(String, Vec<String>)> {
        let mut base: Vec<String> = match module {
            "lib" | "main" => Vec::new(),
            _ => module.split('/').map(str::to_owned).collect(),
        };
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                let mut below = base.clone();
                below.push(child.to_owned());
                if !self.files.contains(&below.join("/")) {
                    return None;
                }
            }
        }
        let at = base.len();
        base.extend_from_slice(rest);
        let known = (1..=base.len())
            .rev()
            .find(|length| self.files.contains(&base[..*length].join("/")));
        match known {
            Some(length) => Some((base[..length].join("/"), base[length..].to_vec())),
            None => Some(("lib".to_owned(), base[at..].to_vec())),
        }
    }
}

struct Use {
    public: bool,
    name: String,
    path: Vec<String>,
}

/// The `use` declarations of a file, each name for itself, and the rest of its code.
fn split_uses(code: &str) -> (Vec<Use>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        let (public, declaration) = match start.strip_prefix("pub") {
            Some(after) => {
                let after = match after.split_once(") ") {
                    Some((scope, after)) if scope.starts_with('(') => after,
                    _ => after.trim_start(),
                };
                (true, after)
            }
            None => (false, start),
        };
        let Some(tree) = declaration.strip_prefix("use ") else {
            // `pub(in crate::server)` names a scope and imports nothing.
            let scope = line.find("pub(in ");
            let end = scope.and_then(|at| line[at..].find(')').map(|end| at + end));
            match (scope, end) {
                (Some(at), Some(end)) => rest.push_str(&(line[..at].to_owned() + &line[end..])),
                _ => rest.push_str(line),
            }
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().unwrap_or(";").trim());
        }
        let tree = tree.split(';').next().unwrap_or_default();
        for (path, name) in expand(tree) {
            uses.push(Use { public, name, path });
        }
    }
    (uses, rest)
}

/// The paths of a `use` tree, with the names that they get.
fn expand(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut path: Vec<String> = path
            .split("::")
            .map(|part| part.trim().to_owned())
            .collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let last = path.last().cloned().unwrap_or_default();
        let name = if name.is_empty() {
            last
        } else {
            name.to_owned()
        };
        return vec![(path, name)];
    };
    // Text in a string may look like a declaration.
    let Some(list) = tree.rfind('}').and_then(|end| tree.get(open + 1..end)) else {
        return Vec::new();
    };
    let prefix = &tree[..open];
    let (mut depth, mut items) = (0_usize, vec![String::new()]);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match items.last_mut() {
            Some(item) if c != ',' || depth > 0 => item.push(c),
            _ => items.push(String::new()),
        }
    }
    let items = items.iter().filter(|item| !item.trim().is_empty());
    items
        .flat_map(|item| expand(&format!("{prefix}{}", item.trim())))
        .collect()
}

/// Every path of at least two segments.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let chains = code.split(|c: char| !(is_word(c) || c == ':'));
    chains
        .filter(|chain| !chain.starts_with(':'))
        .map(|chain| {
            let segments = chain.split("::").filter(|segment| !segment.is_empty());
            segments
                .map(|segment| segment.trim_end_matches(':').to_owned())
                .collect()
        })
        .filter(|path: &Vec<String>| path.len() > 1)
        .collect()
}
