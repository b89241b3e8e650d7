#![expect(clippy::unwrap_used, reason = "tests")]
//! Laws.

use proptest::prelude::*;

use super::fixture::Fixture;
use kinfold_project::NodeId;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever the user writes, there is an answer.
    #[test]
    fn any_template_is_answered(
        parts in prop::collection::vec(
            prop_oneof![
                Just("{{"), Just("}}"), Just("{%"), Just("%}"), Just("{#"), Just("#}"), Just("-"),
                Just(" for x in [1,2] "), Just(" endfor "), Just(" set y "), Just(" endset "),
                Just(" macro f(a) "), Just(" endmacro "), Just(" f(1) "), Just("ref('m')"),
                Just("config(a="), Just("'"), Just("("), Just(")"), Just("["), Just("]"), Just("|"),
                Just("raw"), Just("endraw"), Just(" call f() "), Just(" endcall "), Just("\n"),
                Just("é😀"), Just("\u{FDD1}"), Just("x.append(x)"), Just(" if x "), Just(" endif "),
            ],
            0..14,
        )
    ) {
        let text = parts.concat();
        let (project, _) = Fixture::new().model("m", &text).render();
        if let Some(node) = project.nodes.get(&NodeId::from_text("model.shop.m"))
            && let Some(sql) = &node.sql
        {
            for at in 0..=sql.text.len() {
                let origin = sql.map.origin(at..at + 1);
                prop_assert!(origin.primary.end as usize <= text.len());
            }
        }
    }

    /// Text without tags is its own origin.
    #[test]
    fn plain_text_maps_to_itself(text in "[a-z \n\r\té😀'{}]{1,60}") {
        prop_assume!(!["{{", "{%", "{#"].iter().any(|tag| text.contains(tag)));
        let (project, _) = Fixture::new().model("m", &text).render();
        let node = &project.nodes[&NodeId::from_text("model.shop.m")];
        let sql = node.sql.as_ref().unwrap();
        prop_assert!(text.starts_with(&sql.text));
        for (at, c) in sql.text.char_indices() {
            let origin = sql.map.origin(at..at + c.len_utf8());
            prop_assert_eq!(origin.primary.range(), at..at + c.len_utf8());
        }
    }

    /// The text around expressions is exact, whatever the expressions give.
    #[test]
    fn text_between_expressions_maps_to_itself(
        words in prop::collection::vec("[a-z ]{1,5}", 1..6),
        outputs in prop::collection::vec("[a-z0-9]{0,4}", 6),
    ) {
        let mut template = String::new();
        let mut wanted = Vec::new();
        let mut rendered = String::new();
        for (word, output) in words.iter().zip(&outputs) {
            wanted.push((rendered.len(), template.len(), word.len()));
            template.push_str(word);
            rendered.push_str(word);
            template.push_str(&format!("{{{{ '{output}' }}}}"));
            rendered.push_str(output);
        }
        let sql = Fixture::new().model("m", &template).sql("m");
        prop_assert_eq!(&sql.text, &rendered);
        for (at, from, length) in wanted {
            prop_assert_eq!(sql.map.origin(at..at + length).primary.range(), from..from + length);
        }
    }
}
