export { readVerifiedFile } from "@millrace/files";
