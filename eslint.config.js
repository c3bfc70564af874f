// ESLint for all JavaScript: the shipped modules and their tests.

import js from "@eslint/js";
import globals from "globals";

/** Rules beyond the recommended ones that have caught mistakes, or keep modules small. */
const rules = {
  "array-callback-return": "error",
  "curly": ["error", "multi-line"],
  "default-case-last": "error",
  "eqeqeq": "error",
  "func-style": ["error", "declaration", { allowArrowFunctions: true }],
  "max-depth": ["error", 4],
  "max-len": ["error", { code: 100, ignoreStrings: true, ignoreTemplateLiterals: true }],
  "max-lines": ["error", { max: 400 }],
  "no-console": "error",
  "no-constructor-return": "error",
  "no-duplicate-imports": "error",
  "no-else-return": "error",
  "no-eval": "error",
  "no-implicit-coercion": "error",
  "no-implied-eval": "error",
  "no-new-func": "error",
  "no-param-reassign": "error",
  "no-restricted-properties": [
    "error",
    ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({
      property,
      message: "Texts may come from an untrusted logdir: set textContent, or build elements.",
    })),
  ],
  "no-self-compare": "error",
  "no-shadow": ["error", { hoist: "functions" }],
  "no-template-curly-in-string": "error",
  "no-throw-literal": "error",
  "no-unmodified-loop-condition": "error",
  "no-unreachable-loop": "error",
  "no-unused-expressions": "error",
  "no-use-before-define": ["error", { functions: false, classes: false }],
  "no-useless-assignment": "error",
  "no-useless-rename": "error",
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": "error",
  "prefer-object-has-own": "error",
  "prefer-template": "error",
};

export default [
  {
    ignores: ["**/node_modules/", "**/.venv*/", "build/", "dist/", "runs/", "site/"],
  },
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
  },
  js.configs.recommended,
  {
    files: ["tbgrid/*/static/**/*.js"],
    languageOptions: { ecmaVersion: 2022, globals: globals.browser },
    rules: { ...rules, "max-lines-per-function": ["error", { max: 60 }] },
  },
  {
    files: ["tests/javascript/**/*.js", "eslint.config.js"],
    languageOptions: { ecmaVersion: 2022, globals: globals.node },
    rules,
  },
];
