import { CodedError } from "@millrace/errors";

/** Any error of a file as a CodedError that names the file and what to do. */
export function fileError(caught: unknown, path: string): CodedError {
  if (caught instanceof CodedError) return caught;
  if ((caught as NodeJS.ErrnoException | undefined)?.code === "ELOOP") {
    return new CodedError("permission_denied", `${path} is a symbolic link`, {
      field: "source.file.path",
      remedy: "Move the file itself into the directory.",
      cause: caught,
    });
  }
  const error = CodedError.from(caught, `reading ${path}`);
  return new CodedError(error.code, error.message, { remedy: remedyOf(error.code), cause: caught });
}

function remedyOf(code: CodedError["code"]): string {
  switch (code) {
    case "permission_denied":
      return "Let this process read the file: chmod or chown it, or run the process in its group.";
    case "not_found":
      return "Nothing to do if the file was removed on purpose.";
    case "resource_exhausted":
      return "Raise the limit of open files.";
    default:
      return "Check the disk and the file system that hold the file.";
  }
}
