//! The reference of all elements, made from their classes.

use alloc::format;
use alloc::string::String;

use crate::CLASSES;

/// The reference of the classes that are to be shown, as Markdown.
pub fn markdown(shown: &dyn Fn(&str) -> bool) -> String {
    let mut classes: alloc::vec::Vec<_> = CLASSES.to_vec();
    classes.retain(|class| shown(class.name));
    classes.sort_by_key(|class| class.name);
    let mut out = String::from("# Click elements\n");
    for class in classes {
        let text = &class.documentation;
        out.push_str(&format!("\n## {}\n\n{}\n\n", class.name, text.summary));
        out.push_str(&format!("Ports: {}. Processing: {}.\n", class.ports, class.processing));
        for (title, list) in [("Arguments", text.arguments), ("Handlers", text.handlers)] {
            if !list.is_empty() {
                out.push_str(&format!("\n{title}:\n\n"));
                for (name, meaning) in list {
                    out.push_str(&format!("- `{name}`: {meaning}\n"));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_there_once_and_described() {
        for (at, class) in CLASSES.iter().enumerate() {
            assert!(!CLASSES[..at].iter().any(|other| other.name == class.name), "{}", class.name);
            assert!(class.documentation.summary.ends_with('.'), "{}", class.name);
        }
        let text = markdown(&|name| name != "Tee");
        assert!(text.contains("## Queue\n") && !text.contains("## Tee\n"));
    }
}
