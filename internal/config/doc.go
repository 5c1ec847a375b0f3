// Package config makes a validated settings.Config from a file, the environment and flags. Flags win,
// then NICTEAM_ variables, then the file, then defaults; all three name the same settings.
//
// A file passes four gates. It is read into a tree of nodes that know their lines (YAML, TOML
// and JSON alike); the tree is held against the table of settings, which finds what viper would
// let pass: unknown keys with null values, keys given twice in different case, further YAML
// documents, text where a number belongs. A fresh viper then merges the file, the environment and
// the flags and decodes them strictly. Last, values are checked for sense, whatever they came from.
// Every fault names its place (file and line, variable or flag), its key and what is allowed.
//
// No file is watched and no viper outlives a load.
package config
