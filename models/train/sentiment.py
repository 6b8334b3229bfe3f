"""Makes the rows for the sentiment head, and trains the head on their embeddings. See README.md.

    sentiment.py rows  <vaderSentiment sdist> <npm sentiment tgz> <rows.jsonl>
    sentiment.py train <model> <rows.jsonl> <vectors.f32> <head.json>
"""

import io
import json
import sys
import tarfile

# Sources rated by people, mean of 20 raters each, -4 to 4; what the head learns from.
TRAIN = {
    "tweets": "tweets_GroundTruth.txt",
    "movies": "movieReviewSnippets_GroundTruth.txt",
    "products": "amazonReviewSnippets_GroundTruth.txt",
    "news": "nytEditorialSnippets_GroundTruth.txt",
}
# Sentences labelled good or bad; never trained on.
TEST = ("imdb", "yelp", "amazon")
# A mean rating nearer to zero than this is neutral: half a step of the raters' scale.
NEUTRAL_BELOW = 0.5
CLASSES = ["negative", "neutral", "positive"]


def rows(sdist_path, npm_path, out_path):
    with tarfile.open(sdist_path) as sdist:
        inner = next(m for m in sdist.getmembers() if m.name.endswith("hutto_ICWSM_2014.tar.gz"))
        data = io.BytesIO(sdist.extractfile(inner).read())
    found = []
    with tarfile.open(fileobj=data) as ratings:
        for source, name in TRAIN.items():
            text = ratings.extractfile("hutto_ICWSM_2014/" + name).read().decode("utf-8", "replace")
            for line in text.splitlines():
                fields = line.split("\t", 2)
                if len(fields) == 3:
                    found.append({"source": source, "rating": float(fields[1]), "text": fields[2].strip()})
    seen = {row["text"].lower() for row in found}
    with tarfile.open(npm_path) as package:
        for source in TEST:
            name = f"package/test/fixtures/{source}.json"
            for item in json.load(package.extractfile(name)):
                # Some sentences are in both; judging on them would be judging on training data.
                if item["text"].strip().lower() not in seen:
                    rating = 1 if item["class"] == 1 else -1
                    found.append({"source": "test-" + source, "rating": rating, "text": item["text"].strip()})
    with open(out_path, "w", encoding="utf-8") as out:
        for row in found:
            out.write(json.dumps(row) + "\n")
    print(len(found), "rows")


def train(model, rows_path, vectors_path, head_path):
    import numpy
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    items = [json.loads(line) for line in open(rows_path, encoding="utf-8")]
    x = numpy.fromfile(vectors_path, dtype="<f4").reshape(len(items), -1)
    source = numpy.array([item["source"] for item in items])
    rating = numpy.array([item["rating"] for item in items])
    test = numpy.char.startswith(source, "test-")
    label = numpy.where(rating >= NEUTRAL_BELOW, 2, numpy.where(rating <= -NEUTRAL_BELOW, 0, 1))

    # Balanced: neutral texts are the fewest in the ratings and the most in life.
    head = LogisticRegression(C=3, max_iter=5000, class_weight="balanced")
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    held_out = cross_val_predict(head, x[~test], label[~test], cv=folds, method="predict_proba")
    head.fit(x[~test], label[~test])
    weights, bias = numpy.round(head.coef_, 5), numpy.round(head.intercept_, 5)
    # What is judged is what is shipped: the rounded weights, and the sign of the score.
    logits = x[test] @ weights.T + bias
    right = (logits[:, 2] > logits[:, 0]) == (rating[test] > 0)
    accuracy = {s: round(float(right[source[test] == "test-" + s].mean()), 4) for s in TEST}
    measured = {
        "unseenSentences": int(test.sum()),
        "unseenAccuracy": {"all": round(float(right.mean()), 4), **accuracy},
        "macroF1Of3Classes": round(float(f1_score(label[~test], held_out.argmax(1), average="macro")), 3),
        "correlationWithRaters": round(
            float(numpy.corrcoef(held_out[:, 2] - held_out[:, 0], rating[~test])[0, 1]), 3
        ),
    }
    print(model, json.dumps(measured))
    with open(head_path, "w", encoding="utf-8") as out:
        out.write("{\n")
        out.write(f' "model": {json.dumps(model)},\n "classes": {json.dumps(CLASSES)},\n')
        out.write(f' "measured": {json.dumps(measured)},\n "bias": {json.dumps(bias.tolist())},\n')
        lines = ",\n  ".join(json.dumps(row.tolist()) for row in weights)
        out.write(f' "weights": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    {"rows": rows, "train": train}[sys.argv[1]](*sys.argv[2:])
