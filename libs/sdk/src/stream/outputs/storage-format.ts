import { StorageFormat } from "@millrace/proto/stream";

export type StorageFormatName = "records" | "lines" | "parquet";

export const storageFormats: Readonly<Record<StorageFormatName, StorageFormat>> = {
  records: StorageFormat.STORAGE_FORMAT_RECORDS,
  lines: StorageFormat.STORAGE_FORMAT_LINES,
  parquet: StorageFormat.STORAGE_FORMAT_PARQUET,
};

export const storageFormatNames: readonly StorageFormatName[] = ["records", "lines", "parquet"];
