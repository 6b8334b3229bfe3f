import { keep } from "./rule.js";
import { type SourceFile, sourceFile } from "./source-tree.js";

const tour = "examples/tour.md";

/** Lines of the page that hold code, first and last of each run. */
const pageCode: readonly (readonly [number, number])[] = [
  [53, 53],
  [56, 61],
  [64, 64],
  [67, 71],
  [74, 77],
  [80, 84],
  [93, 94],
  [96, 96],
  [99, 103],
  [106, 108],
  [110, 110],
  [113, 115],
  [118, 125],
  [128, 129],
  [131, 131],
  [140, 142],
  [145, 148],
  [150, 151],
  [153, 157],
  [159, 160],
  [162, 163],
  [165, 166],
  [177, 183],
  [186, 187],
  [189, 189],
  [191, 192],
  [201, 207],
  [210, 211],
  [213, 216],
  [219, 220],
  [223, 229],
  [232, 233],
];

interface Row {
  line: number;
  from: number;
  to: number;
  token: string;
  path: string;
  at: number;
}

const rowPattern = /^\| (\d+)(?:–(\d+))? \| `(.+)` \| \[.+?:(\d+)\]\((src\/tour\/[a-z-]+\.ts)#L(\d+)\) \|$/;

function rowsOf(text: string): Row[] {
  return text.split("\n").flatMap((line, index) => {
    const [, from, to = from, token = "", shown, path = "", at] = rowPattern.exec(line) ?? [];
    if (from === undefined || shown !== at) return [];
    return [
      {
        line: index + 1,
        from: Number(from),
        to: Number(to),
        token,
        path: `examples/${path}`,
        at: Number(at),
      },
    ];
  });
}

keep({
  name: "each line of code of the page is a line of the tour",
  remedy:
    "Correct the row in examples/tour.md: page lines, a part of the example's line, and where it stands.",
  find: (files) => {
    const text = files.find(({ path }) => path === tour)?.text ?? "";
    const rows = rowsOf(text);
    const missing = pageCode
      .flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, at) => from + at))
      .filter((line) => !rows.some((row) => line >= row.from && line <= row.to))
      .map((line) => ({ path: tour, line: 0, what: `has no row for line ${line} of the page` }));
    const wrong = rows
      .filter(({ path, at, token }) => !(lineOf(files, path, at) ?? "").includes(token))
      .map(({ line, token, path, at }) => ({ path: tour, line, what: `${path}:${at} has no ${token}` }));
    return [...missing, ...wrong];
  },
  caught: [[sourceFile(tour, "| 53 | `x` | [a.ts:1](src/tour/a.ts#L1) |")]],
});

function lineOf(files: readonly SourceFile[], path: string, line: number): string | undefined {
  return files.find((file) => file.path === path)?.text.split("\n")[line - 1];
}
