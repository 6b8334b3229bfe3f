export { loadCorpus, plantedTypes, readTexts } from "./corpus.js";
export type {
  Corpus,
  CorpusFile,
  CorpusSearch,
  PlantedItem,
  PlantedType,
  PublishedMessage,
} from "./corpus.js";
export * from "./tour/index.js";
