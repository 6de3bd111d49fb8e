// JSON schemas (draft 2020-12, json-schema.org) as grammars of the JSON texts that they allow.
//
// What is meant by them is taken narrowly where that helps a model: members come in the order of `properties`, others only with
// additionalProperties; a schema without `type` has the type that its keywords are about, and "{}" as a whole is any object; between
// members and items is one space, or a line with its indentation. oneOf is anyOf; `format` says something of date, time, date-time and
// uuid, and nothing otherwise. Keywords that promise what a grammar cannot hold are refused by name.
#ifndef PM_JSON_SCHEMA_H
#define PM_JSON_SCHEMA_H

#include "grammar.h"

// PM_ERR_FORMAT for what is no JSON, PM_ERR_ARGUMENT for a schema that says nothing sensible, PM_ERR_UNSUPPORTED with the keyword and
// where it is.
pm_status pm_json_schema_parse(const char *text, size_t bytes, pm_grammar **out) PM_MUST_USE;

#endif
