"""Techniques that a recipe may take up, a file each; `techniques: {NAME: {SETTING: VALUE}}` adds one."""
