//! JSON Schema 2020-12, as far as it is taken: every keyword known, no reference beyond the schema itself, no recursion, and no more
//! subschemas, patterns and levels than a check may cost. Whatever passes here is checked in time that grows with the event alone, and
//! what that comes to at most is known before ([`Schema::steps`]).
//!
//! Patterns are compiled by an engine without backtracking; `format` says something and asserts nothing.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::push_pointer;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Bytes of a schema at most.
const SCHEMA_BYTES_MAX: usize = 32 * 1024;
/// Levels of subschemas at most, references followed.
const LEVELS_MAX: usize = 32;
/// Subschemas at most, those that references lead to counted each time.
const SUBSCHEMAS_MAX: usize = 10_000;
/// Patterns at most, counted in the same way.
const PATTERNS_MAX: usize = 100;
/// Bytes of a compiled pattern at most.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// The dialect that `$schema` may name.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What the value of a keyword is.
enum Holds {
    Schema,
    Schemas,
    Named,
    Nothing,
}

fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "additionalProperties" | "contains" | "else" | "if" | "items" | "not" | "propertyNames" | "then" => Holds::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::Schemas,
        "$defs" | "dependentSchemas" | "patternProperties" | "properties" => Holds::Named,
        "$comment" | "$ref" | "$schema" | "const" | "contentEncoding" | "contentMediaType" | "default" | "dependentRequired"
        | "deprecated" | "description" | "enum" | "examples" | "exclusiveMaximum" | "exclusiveMinimum" | "format" | "maxContains"
        | "maxItems" | "maxLength" | "maxProperties" | "maximum" | "minContains" | "minItems" | "minLength" | "minProperties"
        | "minimum" | "multipleOf" | "pattern" | "readOnly" | "required" | "title" | "type" | "uniqueItems" | "writeOnly" => Holds::Nothing,
        _ => return None,
    })
}

/// A schema, compiled, and what a check by it costs.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) validator: Validator,
    /// Subschemas and listed values, those that references lead to counted each time.
    parts: usize,
    patterns: usize,
}

impl Schema {
    /// What it takes at most to check an event of so many values and bytes.
    pub(super) const fn steps(&self, values: usize, bytes: usize) -> usize {
        let matching = self.patterns.saturating_mul(bytes / BYTES_A_STEP);
        self.parts.saturating_mul(values).saturating_add(matching)
    }
}

/// Bytes that a pattern is matched against in the time of a step.
const BYTES_A_STEP: usize = 4;

/// Compiles a schema, or says where it is wrong.
pub(super) fn compile(schema: &Value) -> Result<Schema, Fault> {
    if schema.to_string().len() > SCHEMA_BYTES_MAX {
        return Err(invalid("", format!("a schema has at most {SCHEMA_BYTES_MAX} bytes")));
    }
    if !schema.is_object() {
        return Err(invalid("", "is an object"));
    }
    let mut walk = Walk { root: schema, subschemas: 0, listed: 0, patterns: 0, followed: Vec::new() };
    walk.schema(schema, &mut String::new(), 0)?;
    let (parts, matched) = (walk.subschemas + walk.listed, walk.patterns);
    jsonschema::draft202012::meta::validate(schema).map_err(|error| {
        invalid(error.instance_path().as_str(), format!("is not as JSON Schema 2020-12 has it (`{}`)", error.kind().keyword()))
    })?;
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
    let options = jsonschema::options().with_draft(Draft::Draft202012).offline().should_validate_formats(false);
    let built = options.with_pattern_options(patterns).build(schema);
    let validator = built
        .map_err(|error| invalid(error.instance_path().as_str(), "cannot be compiled: a pattern is no regular expression, or too large"))?;
    Ok(Schema { validator, parts, patterns: matched })
}

/// Where a submission breaks a schema, and by which keyword; never a value.
pub(super) fn place(error: &ValidationError<'_>) -> (String, String) {
    let mut pointer = error.instance_path().as_str().to_owned();
    if let ValidationErrorKind::Required { property } = error.kind()
        && let Some(name) = property.as_str()
    {
        push_pointer(&mut pointer, name);
    }
    (pointer, error.kind().keyword().to_owned())
}

/// Values in a JSON value, itself included.
pub(super) fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(values).sum::<usize>() + 1,
        Value::Object(members) => members.values().map(values).sum::<usize>() + 1,
        _ => 1,
    }
}

fn invalid(pointer: &str, message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, pointer, message)
}

struct Walk<'s> {
    root: &'s Value,
    subschemas: usize,
    /// Values that keywords list, such as those of `enum`.
    listed: usize,
    patterns: usize,
    /// The places that the references lead to which are being followed.
    followed: Vec<String>,
}

impl Walk<'_> {
    fn schema(&mut self, schema: &Value, pointer: &mut String, level: usize) -> Result<(), Fault> {
        self.subschemas += 1;
        if level > LEVELS_MAX {
            return Err(invalid(pointer, format!("is more than {LEVELS_MAX} levels deep, references followed")));
        }
        if self.subschemas > SUBSCHEMAS_MAX {
            return Err(invalid(pointer, format!("there are more than {SUBSCHEMAS_MAX} subschemas, references followed")));
        }
        let Value::Object(keywords) = schema else {
            return if schema.is_boolean() { Ok(()) } else { Err(invalid(pointer, "is a schema: an object, true or false")) };
        };
        for (keyword, value) in keywords {
            let length = pointer.len();
            push_pointer(pointer, keyword);
            self.keyword(keyword, value, pointer, level)?;
            pointer.truncate(length);
        }
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, value: &Value, pointer: &mut String, level: usize) -> Result<(), Fault> {
        let holds = holds(keyword).ok_or_else(|| invalid(pointer, "a keyword that is not taken"))?;
        match (keyword, value) {
            ("$ref", Value::String(to)) => return self.reference(to, pointer, level),
            ("$schema", Value::String(dialect)) if dialect.trim_end_matches('#') != DIALECT => {
                return Err(invalid(pointer, format!("is {DIALECT}")));
            }
            ("pattern", _) => self.pattern(1, pointer)?,
            ("patternProperties", Value::Object(members)) => self.pattern(members.len(), pointer)?,
            ("const" | "dependentRequired" | "enum" | "required", value) => self.listed += values(value),
            _ => {}
        }
        match (holds, value) {
            (Holds::Schema, value) => self.schema(value, pointer, level + 1),
            (Holds::Schemas, Value::Array(items)) => {
                items.iter().enumerate().try_for_each(|(n, item)| self.within(item, &n.to_string(), pointer, level))
            }
            (Holds::Named, Value::Object(members)) => {
                members.iter().try_for_each(|(name, member)| self.within(member, name, pointer, level))
            }
            // Of a wrong type, which the meta-schema tells.
            _ => Ok(()),
        }
    }

    fn within(&mut self, schema: &Value, name: &str, pointer: &mut String, level: usize) -> Result<(), Fault> {
        let length = pointer.len();
        push_pointer(pointer, name);
        self.schema(schema, pointer, level + 1)?;
        pointer.truncate(length);
        Ok(())
    }

    fn reference(&mut self, to: &str, pointer: &str, level: usize) -> Result<(), Fault> {
        let within = to.strip_prefix('#').filter(|rest| !rest.contains('%') && (rest.is_empty() || rest.starts_with('/')));
        let root = self.root;
        let Some((place, target)) = within.and_then(|rest| Some((rest, root.pointer(rest)?))) else {
            return Err(invalid(pointer, "leads to a place in this schema, as in `#/$defs/name`"));
        };
        if self.followed.iter().any(|followed| followed == place) {
            return Err(invalid(pointer, "leads back to where it stands: a schema does not recur"));
        }
        self.followed.push(place.to_owned());
        self.schema(target, &mut place.to_owned(), level + 1)?;
        self.followed.pop();
        Ok(())
    }

    fn pattern(&mut self, more: usize, pointer: &str) -> Result<(), Fault> {
        self.patterns += more;
        if self.patterns > PATTERNS_MAX {
            return Err(invalid(pointer, format!("there are more than {PATTERNS_MAX} patterns, references followed")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_costs_too_much_or_leads_elsewhere_is_refused_at_its_place() {
        let mut doubling = json!({"$defs": {"d20": true}});
        for n in 0..20 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            doubling["$defs"][format!("d{n}")] = json!({"allOf": [next, next]});
        }
        doubling["$ref"] = json!("#/$defs/d0");
        let deep = (0..40).fold(json!(true), |inner, _| json!({"not": inner}));
        let many: serde_json::Map<String, Value> = (0..101).map(|n| (format!("a{n}"), json!({"pattern": "x"}))).collect();
        let cases = [
            (json!([]), ""),
            (json!({"type": "strin"}), "/type"),
            (json!({"properties": {"a/b": {"minimum": "1"}}}), "/properties/a~1b/minimum"),
            (json!({"properties": {"a": 1}}), "/properties/a"),
            (json!({"propertys": {}}), "/propertys"),
            // Within each other, they have what is below them validated again at each level.
            (json!({"anyOf": [{"unevaluatedProperties": {}}]}), "/anyOf/0/unevaluatedProperties"),
            (json!({"unevaluatedItems": {}}), "/unevaluatedItems"),
            (json!({"$id": "https://x.example/"}), "/$id"),
            (json!({"$dynamicRef": "#a"}), "/$dynamicRef"),
            (json!({"$ref": "https://x.example/schema.json"}), "/$ref"),
            (json!({"$ref": "#anchor"}), "/$ref"),
            (json!({"$ref": "#/$defs/none"}), "/$ref"),
            (json!({"$ref": "#"}), "/$ref"),
            (json!({"properties": {"a": {"items": {"$ref": "#"}}}}), "/properties/a/items/$ref"),
            (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "/$schema"),
            (json!({"properties": many}), "/properties/a100/pattern"),
            (json!({"description": "x".repeat(40_000)}), ""),
        ];
        for (schema, pointer) in cases {
            let fault = compile(&schema).expect_err("refused");
            assert_eq!(fault.pointer, pointer, "{schema}: {fault}");
        }
        for schema in [doubling, deep, json!({"pattern": "(a{1000}){1000}"}), json!({"pattern": "(?=x)"}), json!({"pattern": "("})] {
            compile(&schema).expect_err("refused");
        }
    }

    #[test]
    fn what_breaks_a_schema_is_placed_and_no_value_is_told() {
        let schema = json!({
            "$schema": DIALECT,
            "$defs": {"amount": {"type": "integer", "maximum": 9}},
            "properties": {"content": {"required": ["arguments"], "properties": {"arguments": {"properties": {
                "amount": {"$ref": "#/$defs/amount"}, "card": {"pattern": "^[0-9]+$"}, "a/b": {"enum": [1]}
            }, "additionalProperties": false}}}}
        });
        let validator = compile(&schema).expect("compiled").validator;
        for (arguments, pointer, keyword) in [
            (json!({"amount": 10}), "/content/arguments/amount", "maximum"),
            (json!({"amount": "9"}), "/content/arguments/amount", "type"),
            (json!({"card": "S3cret"}), "/content/arguments/card", "pattern"),
            (json!({"a/b": 2}), "/content/arguments/a~1b", "enum"),
            (json!({"S3cret": 2}), "/content/arguments", "additionalProperties"),
        ] {
            let event = json!({"content": {"arguments": arguments}});
            assert_eq!(place(&validator.validate(&event).expect_err("broken")), (pointer.to_owned(), keyword.to_owned()));
        }
        let missing = json!({"content": {}});
        let missing = validator.validate(&missing).expect_err("broken");
        assert_eq!(place(&missing), ("/content/arguments".to_owned(), "required".to_owned()));
        assert!(validator.is_valid(&json!({"content": {"arguments": {"amount": 9, "card": "1"}}})));
    }

    #[test]
    fn what_a_check_costs_is_known_before() {
        let steps = |schema: Value, values, bytes| compile(&schema).expect("compiled").steps(values, bytes);
        assert_eq!(steps(json!({"type": "object"}), 10, 1_000), 10);
        assert_eq!(steps(json!({"items": {"enum": [1, 2, 3]}}), 10, 1_000), 10 * (2 + 4));
        // A reference costs what it leads to, each time.
        let twice = json!({"$defs": {"d": {"required": ["a", "b"]}}, "allOf": [{"$ref": "#/$defs/d"}, {"$ref": "#/$defs/d"}]});
        assert_eq!(steps(twice, 1, 0), (1 + 2 + 3) + 3 * 3);
        assert_eq!(steps(json!({"properties": {"a": {"pattern": "x"}}, "patternProperties": {"y": true}}), 1, 1_000), 3 + 2 * 250);
    }
}
