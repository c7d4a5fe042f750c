//! Debian's package database, read directly (`dpkg(1)`, `deb-control(5)`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// Packages that only maintainer scripts use: they run while a package is installed, never in
/// a guest.
const INSTALL_TIME_ONLY: &[&str] = &[
    "adduser",
    "cdebconf",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "lsb-base",
    "sysvinit-utils",
    "ucf",
];

/// What is known about an installed package.
#[derive(Clone, Debug, Default)]
pub struct Package {
    name: String,
    architecture: String,
    /// Each a list of alternatives.
    depends: Vec<Vec<String>>,
    provides: Vec<String>,
    /// Configuration files and the MD5 sums that they were shipped with.
    pub conffiles: HashMap<PathBuf, String>,
}

/// The installed packages.
pub struct Database {
    folder: PathBuf,
    packages: HashMap<String, Package>,
    providers: HashMap<String, Vec<String>>,
}

impl Database {
    /// Reads the database in `folder` (usually `/var/lib/dpkg`); `None` when there is none.
    pub fn open(folder: &Path) -> Option<Self> {
        let status = fs::read(folder.join("status")).ok()?;
        Some(Self::parse(folder, &String::from_utf8_lossy(&status)))
    }

    /// The database in `folder` whose status file says `status`.
    pub fn parse(folder: &Path, status: &str) -> Self {
        let mut database =
            Self { folder: folder.to_owned(), packages: HashMap::new(), providers: HashMap::new() };
        for paragraph in status.split("\n\n") {
            let Some(package) = parse_package(paragraph) else { continue };
            for provided in &package.provides {
                database.providers.entry(provided.clone()).or_default().push(package.name.clone());
            }
            database.packages.insert(package.name.clone(), package);
        }
        for providers in database.providers.values_mut() {
            providers.sort();
        }
        database
    }

    /// The names of all installed packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }

    /// The package with this name, if it is installed.
    pub fn get(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)
    }

    /// The package that one of `paths` belongs to.
    pub fn owner(&self, paths: &[PathBuf]) -> Option<String> {
        let lines: Vec<Vec<u8>> =
            paths.iter().map(|path| format!("\n{}\n", path.display()).into_bytes()).collect();
        let finders: Vec<_> = lines.iter().map(memchr::memmem::Finder::new).collect();
        let mut lists: Vec<PathBuf> = fs::read_dir(self.folder.join("info"))
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "list"))
            .collect();
        lists.sort();
        lists.iter().find_map(|list| {
            let text = fs::read(list).ok()?;
            if !finders.iter().any(|finder| finder.find(&text).is_some()) {
                return None;
            }
            let name = list.file_stem()?.to_str()?;
            let name = name.split(':').next()?;
            self.packages.contains_key(name).then(|| name.to_owned())
        })
    }

    /// The paths that the package `name` has installed, folders among them.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        let info = self.folder.join("info");
        let architecture = self.packages.get(name).map_or("amd64", |p| p.architecture.as_str());
        let text = fs::read(info.join(format!("{name}:{architecture}.list")))
            .or_else(|_| fs::read(info.join(format!("{name}.list"))))
            .unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| line.starts_with('/') && *line != "/.")
            .map(PathBuf::from)
            .collect()
    }

    /// The packages `names` and all that they depend on, each with the one that needs it.
    pub fn closure(&self, names: &[String]) -> Vec<(String, Option<String>)> {
        let mut seen: HashSet<String> = names.iter().cloned().collect();
        let mut waiting: VecDeque<(String, Option<String>)> =
            names.iter().map(|name| (name.clone(), None)).collect();
        let mut found = Vec::new();
        while let Some((name, needed_by)) = waiting.pop_front() {
            if let Some(package) = self.packages.get(&name) {
                for alternatives in &package.depends {
                    let Some(chosen) = alternatives.iter().find_map(|name| self.installed(name))
                    else {
                        continue;
                    };
                    if !INSTALL_TIME_ONLY.contains(&chosen.as_str()) && seen.insert(chosen.clone())
                    {
                        waiting.push_back((chosen, Some(name.clone())));
                    }
                }
            }
            found.push((name, needed_by));
        }
        found
    }

    /// The installed package that is or provides `name`.
    fn installed(&self, name: &str) -> Option<String> {
        if self.packages.contains_key(name) {
            return Some(name.to_owned());
        }
        self.providers.get(name)?.first().cloned()
    }
}

/// The package that a paragraph of the status file describes, if it is installed and runs here.
fn parse_package(paragraph: &str) -> Option<Package> {
    let mut package = Package::default();
    let mut is_installed = false;
    let mut field = "";
    for line in paragraph.lines() {
        if line.starts_with([' ', '\t']) {
            if field == "Conffiles" {
                let mut words = line.split_whitespace();
                if let (Some(path), Some(sum), None) = (words.next(), words.next(), words.next()) {
                    package.conffiles.insert(path.into(), sum.to_owned());
                }
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        field = name;
        let value = value.trim();
        match name {
            "Package" => value.clone_into(&mut package.name),
            "Status" => is_installed = value.ends_with(" installed"),
            "Architecture" => value.clone_into(&mut package.architecture),
            "Depends" | "Pre-Depends" => package.depends.extend(parse_relations(value)),
            "Provides" => {
                package.provides = parse_relations(value).into_iter().flatten().collect();
            }
            _ => {}
        }
    }
    let is_native = matches!(package.architecture.as_str(), "amd64" | "all");
    (is_installed && is_native && !package.name.is_empty()).then_some(package)
}

/// `a (>= 1) | b:any, c` as `[[a, b], [c]]`.
fn parse_relations(value: &str) -> Vec<Vec<String>> {
    let name = |relation: &str| {
        let end = relation.find([' ', '(', ':', '[']).unwrap_or(relation.len());
        relation[..end].to_owned()
    };
    value
        .split(',')
        .map(|group| group.split('|').map(|relation| name(relation.trim())).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let info = folder.path().join("info");
        fs::create_dir(&info).unwrap();
        let status = "Package: app\nStatus: install ok installed\nArchitecture: amd64\n\
            Depends: libx (>= 1), gone | shell-virtual, adduser\nConffiles:\n /etc/app.conf abc\n\n\
            Package: libx\nStatus: install ok installed\nArchitecture: amd64\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\n\n\
            Package: adduser\nStatus: install ok installed\nArchitecture: all\n\n\
            Package: dash\nStatus: install ok installed\nArchitecture: amd64\nProvides: shell-virtual (= 1)\n";
        fs::write(folder.path().join("status"), status).unwrap();
        fs::write(info.join("app.list"), "/.\n/usr\n/usr/bin\n/usr/bin/app\n").unwrap();
        fs::write(info.join("libx:amd64.list"), "/.\n/lib/libx.so\n").unwrap();
        let database = Database::open(folder.path()).unwrap();
        (folder, database)
    }

    #[test]
    fn owners_files_and_dependencies_are_found() {
        let (_folder, database) = sample();
        assert_eq!(database.owner(&["/usr/bin/app".into()]).as_deref(), Some("app"));
        assert_eq!(database.owner(&["/usr/bin/ap".into()]), None);
        assert_eq!(database.files("libx"), [PathBuf::from("/lib/libx.so")]);
        let closure = database.closure(&["app".to_owned()]);
        let names: Vec<&str> = closure.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["app", "libx", "dash"]);
        assert_eq!(closure[2].1.as_deref(), Some("app"));
        assert_eq!(database.get("app").unwrap().conffiles[Path::new("/etc/app.conf")], "abc");
        assert!(database.get("gone").is_none());
    }
}
