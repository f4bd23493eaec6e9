"""The loaders of data sets on the Hub, each run against a small made-up repository in that set's true schema:
file names, formats, columns (those that are ignored too), nesting and known quirks, as its card and files have them."""

import copy
import io
import json
import re
import shutil
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import write  # hub is a fixture
from huggingface_hub import HfFileSystem, constants

from hybrid_batch.data import catalogue, corpora
from hybrid_batch.data.corpora import load_corpus

CATALOGUE = catalogue.catalogue()
SETS = {}  # {name: what ``add`` is given}


def add(name, files, beside, rows, needed, **load):
    """files: what is read of the repository, beside: what else is there, {path: content as ``hub.write`` takes it}.
    rows: (item, language, query, passage, negatives, subject) and the group where it is not the item. needed: (path,
    field) without which the file is refused; field may be "a.b" in a struct, "a.*.b" in each of a list, a number in a
    table without a heading. load: arguments of load_corpus."""
    SETS[name] = dict(files=files, beside=beside | {"README.md": "---\nlicense: other\n---\n"}, rows=rows,
                      needed=needed, load=dict(split="all") | load)


# Question -> passage

# Tables without heading or quoting, triples for all languages; 102 is nobody's passage, 104 is beyond the limit.
add("unicamp-dl/mmarco", {
    "data/google/queries/train/english_queries.train.tsv": [
        [15, "what comes after the limit"], [7, "where does the \"old bridge stand"],
        [12, "nobody has a passage for this"], [9, "how long is the river"]],
    "data/google/queries/train/hindi_queries.train.tsv": [
        [15, "सीमा के बाद क्या है"], [7, "पुराना पुल \"कहाँ है"], [12, "इसका कोई अंश नहीं"], [9, "नदी कितनी लंबी है"]],
    "data/google/collections/english_collection.tsv": [
        [100, "The bridge stands in \"Oldtown\", near the mill."], [101, "Five kilometres, they say."],
        [102, "Nobody asks for this."], [103, "It is \"five kilometres long, 3\" deep."]],
    "data/google/collections/hindi_collection.tsv": [
        [100, "पुल \"पुराने शहर\" में है, चक्की के पास।"], [101, "पाँच किलोमीटर, कहते हैं।"],
        [102, "यह कोई नहीं पूछता।"], [103, "यह \"पाँच किलोमीटर लंबी है।"]],
    "data/triples.train.ids.small.tsv": [
        [7, 100, 102], [9, 103, 100], [7, 101, 103], [9, 103, 102], [15, 104, 100]],
}, {
    "data/google/queries/dev/english_queries.dev.tsv": [[1, "of another part"]],
    "data/qrels.dev.tsv": [[1, 0, 100, 1]],
}, [
    ("7", "en", "where does the \"old bridge stand", "The bridge stands in \"Oldtown\", near the mill.", [], ""),
    ("9", "en", "how long is the river", "It is \"five kilometres long, 3\" deep.", [], ""),
    ("7", "hi", "पुराना पुल \"कहाँ है", "पुल \"पुराने शहर\" में है, चक्की के पास।", [], ""),
    ("9", "hi", "नदी कितनी लंबी है", "यह \"पाँच किलोमीटर लंबी है।", [], ""),
], [("data/google/queries/train/hindi_queries.train.tsv", 1), ("data/google/collections/english_collection.tsv", 1),
    ("data/triples.train.ids.small.tsv", 1)], languages=["en", "hi"], limit=2)

FILM = dict(plot_id="/m/03vyhn", plot="Mars is a colony.\n\nA police team fetches a prisoner.", title="A Film")
add("ibm/duorc", {
    "SelfRC/train-00000-of-00001.parquet": [
        FILM | dict(question_id="b440de7d", question="Where is  the colony?", answers=["Mars", "A"], no_answer=False),
        FILM | dict(question_id="a9f95fcd", question="Who wrote the film?", answers=[], no_answer=True),
        FILM | dict(question_id="c2bb5ab9", question="Whom does the team fetch?", answers=["A man"], no_answer=False),
        dict(plot_id="/m/1", plot="A dog finds a bone.", title="Dog", question_id="d1", question="What is found?",
             answers=["A bone"], no_answer=False)],
}, {
    "SelfRC/test-00000-of-00001.parquet": [
        FILM | dict(question_id="e5", question="Of another split?", answers=["Yes"], no_answer=False)],
    "ParaphraseRC/train-00000-of-00001.parquet": [
        FILM | dict(question_id="f6", question="Of another configuration?", answers=["Yes"], no_answer=False)],
}, [
    ("b440de7d", "en", "Where is the colony?", "Mars is a colony. A police team fetches a prisoner.", [], ""),
    ("c2bb5ab9", "en", "Whom does the team fetch?", "Mars is a colony. A police team fetches a prisoner.", [], "",
     "b440de7d"),
    ("d1", "en", "What is found?", "A dog finds a bone.", [], ""),
], [("SelfRC/train-00000-of-00001.parquet", field) for field in ("question_id", "question", "plot", "no_answer")])

add("entityquestions", {
    "dataset/train/P106.train.json": [dict(question="What does Ann Example do?", answers=["poet", "writer"]),
                                      dict(question="What does Bob Example do?", answers=[])],
    "dataset/train/P19.train.json": [dict(question="Where was Ann Example born?", answers=["Lima"])],
}, {
    "dataset/dev/P19.dev.json": [dict(question="Of another split?", answers=["Yes"])],
}, [
    ("en/P106.train/0", "en", "What does Ann Example do?", "poet", [], ""),
    ("en/P19.train/2", "en", "Where was Ann Example born?", "Lima", [], ""),
], [("dataset/train/P106.train.json", "question"), ("dataset/train/P19.train.json", "answers")])

add("sentence-transformers/natural-questions", {
    "pair/train-00000-of-00001.parquet": [
        dict(query="when did the war end", answer="The War. It ended in 1848.\nPeace came."),
        dict(query="who won the war", answer="The War. It ended in 1848.\nPeace came."),
        dict(query="how high is the hill", answer="The Hill. It is 300 m high.")],
}, {}, [
    ("0", "en", "when did the war end", "The War. It ended in 1848. Peace came.", [], ""),
    ("1", "en", "who won the war", "The War. It ended in 1848. Peace came.", [], "", "0"),
    ("2", "en", "how high is the hill", "The Hill. It is 300 m high.", [], ""),
], [("pair/train-00000-of-00001.parquet", field) for field in ("query", "answer")])


def page(number, domain, language, *pairs):
    return dict(id=number, language=language, num_pairs=len(pairs), domain=domain,
                qa_pairs=[dict(question=q, answer=a, language=code) for q, a, code in pairs])


# A page a line, its pairs nested; some are in another language than the page, some are empty.
add("clips/mfaq", {
    "data/en/train.jsonl": [
        page(17, "example.org", "en", ("How long is shipping?", "Three days.\nAt most five.", "en"),
             ("Wie lange dauert es?", "Drei Tage.", "de"), ("May I return it?", "Yes.", "en"), ("", "Nothing.", "en")),
        page(18, "example.com", "en", ("Do you sell tea?", "We do.", "en"))],
    "data/ru/train.jsonl": [
        page(17, "example.ru", "ru", ("Сколько идёт посылка?", "Три дня.", "ru"), ("Shipping?", "Yes.", "en"))],
}, {
    "data/en/valid.jsonl": [page(19, "example.net", "en", ("Of another split?", "Yes.", "en"))],
}, [
    ("en/17/0", "en", "How long is shipping?", "Three days.\nAt most five.", [], "", "en/17"),
    ("en/17/2", "en", "May I return it?", "Yes.", [], "", "en/17"),
    ("en/18/0", "en", "Do you sell tea?", "We do.", [], "", "en/18"),
    ("ru/17/0", "ru", "Сколько идёт посылка?", "Три дня.", [], "", "ru/17"),
], [("data/en/train.jsonl", field) for field in (
    "id", "qa_pairs", "qa_pairs.*.question", "qa_pairs.*.answer", "qa_pairs.*.language")], languages=["en", "ru"])

ARABIC = dict(query_id="1", query="كم عدد سكان المدينة؟",
              positive_passages=[dict(docid="26#1", title="المدينة", text="يسكن المدينة ألف نسمة."),
                                 dict(docid="26#2", title="المدينة", text="فقرة ثانية.")],
              negative_passages=[dict(docid="55#3", title="نهر", text="النهر طويل."),
                                 dict(docid="56#0", title="جبل", text="الجبل عالٍ.")])
ENGLISH = dict(query_id="1", query="Who founded the town?",
               positive_passages=[dict(docid="9#0", title="Town", text="Ann founded the town.")],
               negative_passages=[dict(docid="9#4", title="Town", text="The town has a mill.")])
LONE = dict(query_id="2", query="When was it founded?", negative_passages=[],
            positive_passages=[dict(docid="9#1", title="Town", text="It was founded in 1200.")])
add("castorini/mr-tydi", {
    "mrtydi-v1.1-arabic/train.jsonl.gz": [ARABIC],
    "mrtydi-v1.1-english/train.jsonl.gz": [ENGLISH, LONE],  # LONE has no negatives
}, {
    "mrtydi-v1.1-english/test.jsonl.gz": [LONE | dict(query_id="3")],
    "mrtydi-v1.1-english/ir-format-data/topics.train.txt": "1\tWho founded the town?\n",
    "mrtydi-v1.1-combined/train.jsonl.gz": [ARABIC, ENGLISH, LONE],  # all languages once more
}, [
    ("ar/train/1", "ar", "كم عدد سكان المدينة؟", "يسكن المدينة ألف نسمة.", ["النهر طويل.", "الجبل عالٍ."], ""),
    ("en/train/1", "en", "Who founded the town?", "Ann founded the town.", ["The town has a mill."], ""),
    ("en/train/2", "en", "When was it founded?", "It was founded in 1200.", [], ""),
], [("mrtydi-v1.1-arabic/train.jsonl.gz", field) for field in (
    "query_id", "query", "positive_passages", "negative_passages", "positive_passages.*.text",
    "negative_passages.*.text")], languages=["ar", "en"])

NEWS = "(CNN) -- A man was rescued on Tuesday.\n\nHe is well."
add("lucadiliello/newsqa", {
    "data/train-00000-of-00001-ec54fbe500fc3b5c.parquet": [
        dict(context=NEWS, question="Who was rescued?", answers=["A man"], key="da0e6b66",
             labels=[dict(end=[15], start=[11])]),
        dict(context=NEWS, question="When?", answers=["Tuesday", "on Tuesday"], key="fc44b2f1",
             labels=[dict(end=[37, 37], start=[31, 28])])],
}, {
    "data/validation-00000-of-00001-3cf888b12fff1dd6.parquet": [
        dict(context=NEWS, question="Of another split?", answers=["Yes"], key="9", labels=[dict(end=[1], start=[0])])],
}, [
    ("da0e6b66", "en", "Who was rescued?", "(CNN) -- A man was rescued on Tuesday. He is well.", [], ""),
    ("fc44b2f1", "en", "When?", "(CNN) -- A man was rescued on Tuesday. He is well.", [], "", "da0e6b66"),
], [("data/train-00000-of-00001-ec54fbe500fc3b5c.parquet", field) for field in ("key", "question", "context")])


def candidate(question_id, question, answer, label):
    return dict(question_id=question_id, question=question, document_title="A Title", answer=answer, label=label)


# A candidate sentence a row: Q0 has no right one, Q1 two.
add("microsoft/wiki_qa", {
    "data/train-00000-of-00001.parquet": [
        candidate("Q0", "HOW DID IT END", "It began in May.", 0), candidate("Q1", "how are glaciers formed", "No.", 0),
        candidate("Q1", "how are glaciers formed", "They form where snow stays.", 1),
        candidate("Q1", "how are glaciers formed", "Snow becomes ice.", 1),
        candidate("Q2", "what is a cell", "The smallest living unit.", 1)],
}, {
    "data/test-00000-of-00001.parquet": [candidate("Q3", "of another split", "Yes.", 1)],
}, [
    ("Q1", "en", "how are glaciers formed", "They form where snow stays.", [], ""),
    ("Q2", "en", "what is a cell", "The smallest living unit.", [], ""),
], [("data/train-00000-of-00001.parquet", field) for field in ("question_id", "question", "answer", "label")])

add("sentence-transformers/yahoo-answers", {
    "title-answer-pair/train-00000-of-00002.parquet": [
        dict(title="why do cats purr?", answer="Because <br /> they are content.\\nMostly."),
        dict(title="is there an answer?", answer="")],
    "title-answer-pair/train-00001-of-00002.parquet": [dict(title="how to boil an egg", answer="In water.")],
}, {
    "question-answer-pair/train-00000-of-00001.parquet": [dict(question="of another pair?", answer="Yes.")],
}, [
    ("0", "en", "why do cats purr?", "Because <br /> they are content.\\nMostly.", [], ""),
    ("2", "en", "how to boil an egg", "In water.", [], ""),
], [("title-answer-pair/train-00000-of-00002.parquet", "title"),
    ("title-answer-pair/train-00001-of-00002.parquet", "answer")])


def shifted(domain, split):
    """A record and its row's texts. The id is that of the paragraph, the title the text "None"."""
    return dict(id="5d9c5be6", title="None", context=f"A paragraph of {domain}, {split}.",
                question=f"Is it {domain}, {split}?", answers=dict(text=["A paragraph"], answer_start=[0]))


SHIFTS = [(split, domain) for split in ("train", "validation", "test")
          for domain in ("amazon", "new_wiki", "nyt", "reddit")]
add("lmqg/qa_squadshifts", {
    "data/amazon.train.jsonl": [shifted("amazon", "train"), shifted("amazon", "train") | dict(question="Once more?")],
    **{f"data/{domain}.{split}.jsonl": [shifted(domain, split)] for split, domain in SHIFTS[1:]},
}, {
    "data/all.train.jsonl": [shifted("everything", "train")],
}, [
    ("en/amazon.train/0", "en", "Is it amazon, train?", "A paragraph of amazon, train.", [], ""),
    ("en/amazon.train/1", "en", "Once more?", "A paragraph of amazon, train.", [], "", "en/amazon.train/0"),
    *((f"en/{domain}.{split}/{number}", "en", f"Is it {domain}, {split}?", f"A paragraph of {domain}, {split}.", [], "")
      for number, (split, domain) in enumerate(SHIFTS[1:], 2)),
], [("data/amazon.train.jsonl", "question"), ("data/reddit.test.jsonl", "context")], split="validation")


# Reasoning

# The first column has no name. Cells hold commas, quotation marks and line ends; options that are numbers go.
QUESTIONS = ("Question", "A", "B", "C", "D", "Answer", "Subject")


def exam(*rows):
    return [{"": number} | dict(zip(QUESTIONS, row)) for number, row in enumerate(rows)]


add("openai/MMMLU", {
    "test/mmlu_AR-XY.csv": exam(
        ("أوجد درجة الامتداد.", "0", "4", "2", "6", "B", "abstract_algebra"),
        ("أي عبارة صحيحة؟\n1. \"الأولى\", ثم\n2. الثانية", "الأولى، فقط", "الثانية\nفقط", "كلتاهما",
         "لا شيء منهما", "A", "logic")),
    "test/mmlu_ZH-CN.csv": exam(
        ("求扩张的次数。", "0", "4", "2", "6", "B", "abstract_algebra"),
        ("哪个陈述正确？\n1. \"第一\", 然后\n2. 第二", "只有第一个", "只有第二个", "两个都对", "None", "A", "logic")),
}, {}, [
    ("1", "ar", "أي عبارة صحيحة؟\n1. \"الأولى\", ثم\n2. الثانية", "الأولى، فقط",
     ["الثانية\nفقط", "كلتاهما", "لا شيء منهما"], "logic"),
    ("1", "zh", "哪个陈述正确？\n1. \"第一\", 然后\n2. 第二", "只有第一个", ["只有第二个", "两个都对", "None"], "logic"),
], [("test/mmlu_AR-XY.csv", field) for field in QUESTIONS], languages=["ar", "zh"])


def annotated(number, part, question, options, answer):
    """All columns; those of the annotators are texts that look like lists."""
    texts = dict(zip(("option_a", "option_b", "option_c", "option_d"), options))
    return dict(sample_id=f"anatomy/{part}/{number}", subject="anatomy", subject_category="STEM", question=question,
                **texts, answer=answer, required_knowledge="['medical', 'none']", time_sensitive="['No', 'No']",
                reference="[]", culture="[]", region="[]", country="[]", cultural_sensitivity_label="-",
                is_annotated=False)


OPTIONS = ("option_a", "option_b", "option_c", "option_d")
add("CohereLabs/Global-MMLU", {
    "en/test-00000-of-00001.parquet": [
        annotated(0, "test", "Where is the femur?", ("In the arm", "In the leg", "In the ear", None), "B"),
        annotated(1, "test", "Which is empty?", ("This one", "That one", "A third", ""), "D")],
    "en/dev-00000-of-00001.parquet": [
        annotated(0, "dev", "What pumps blood?", ("The heart", "The liver", "The lung", "The skin"), "A")],
    "te/test-00000-of-00001.parquet": [
        annotated(0, "test", "తొడ ఎముక ఎక్కడ ఉంది?", ("చేతిలో", "కాలులో", "చెవిలో", "ముక్కులో"), "B")],
    "te/dev-00000-of-00001.parquet": [
        annotated(0, "dev", "రక్తాన్ని ఏది పంపుతుంది?", ("గుండె", "కాలేయం", "ఊపిరితిత్తి", "చర్మం"), "A")],
}, {}, [
    ("anatomy/test/0", "en", "Where is the femur?", "In the leg", ["In the arm", "In the ear"], "anatomy"),
    ("anatomy/dev/0", "en", "What pumps blood?", "The heart", ["The liver", "The lung", "The skin"], "anatomy"),
    ("anatomy/test/0", "te", "తొడ ఎముక ఎక్కడ ఉంది?", "కాలులో", ["చేతిలో", "చెవిలో", "ముక్కులో"], "anatomy"),
    ("anatomy/dev/0", "te", "రక్తాన్ని ఏది పంపుతుంది?", "గుండె", ["కాలేయం", "ఊపిరితిత్తి", "చర్మం"], "anatomy"),
], [("te/dev-00000-of-00001.parquet", field) for field in ("sample_id", "subject", "question", "answer", *OPTIONS)],
    languages=["en", "te"])


def okapi(number, stem, options, answer):
    return dict(id=number, instruction=stem) | dict(zip(OPTIONS, options), answer=answer)


def arc(number, stem, options, answer, fifth=None):
    return okapi(number, stem, options, None) | dict(option_e=fifth, answer=answer)


# A fifth option is rare: null, or not even a field. Languages have different items.
add("alexandrainst/m_arc", {
    "data/en/train.jsonl": [
        arc("Mercury_7175875", "What melts ice?", ("Strong heat", "Deep cold", "Thick fog", "Wet sand"), "A")],
    "data/en/val.jsonl": [
        arc("MDSA_2008_5_30", "What do roots take up?", ("Pure air", "Fresh water", "Warm light", "Loud sound"), "B",
            "Hard stone")],
    "data/en/test.jsonl": [
        okapi("Only_en_1", "What shines by day?", ("The moon", "A lamp", "The sun", "A mirror"), "C")],
    "data/hi/train.jsonl": [
        arc("Mercury_7175875", "बर्फ किससे पिघलती है?", ("तेज गर्मी", "गहरी ठंड", "घना कोहरा", "गीली रेत"), "A")],
    "data/hi/val.jsonl": [
        arc("MDSA_2008_5_30", "जड़ें क्या लेती हैं?", ("शुद्ध हवा", "ताजा पानी", "गर्म रोशनी", "तेज आवाज"), "B")],
    "data/hi/test.jsonl": [],
}, {}, [
    ("Mercury_7175875", "en", "What melts ice?", "Strong heat", ["Deep cold", "Thick fog", "Wet sand"], ""),
    ("MDSA_2008_5_30", "en", "What do roots take up?", "Fresh water",
     ["Pure air", "Warm light", "Loud sound", "Hard stone"], ""),
    ("Only_en_1", "en", "What shines by day?", "The sun", ["The moon", "A lamp", "A mirror"], ""),
    ("Mercury_7175875", "hi", "बर्फ किससे पिघलती है?", "तेज गर्मी", ["गहरी ठंड", "घना कोहरा", "गीली रेत"], ""),
    ("MDSA_2008_5_30", "hi", "जड़ें क्या लेती हैं?", "ताजा पानी", ["शुद्ध हवा", "गर्म रोशनी", "तेज आवाज"], ""),
], [("data/hi/val.jsonl", field) for field in ("id", "instruction", "answer", *OPTIONS)], languages=["en", "hi"])

# Some answers name no option.
add("alexandrainst/m_mmlu", {
    "data/de/train.jsonl": [
        okapi("logic/dev/0", "Was gilt?", ("Beides gilt", "Nichts gilt", "Nur das erste", "Nur das letzte"), "A")],
    "data/de/val.jsonl": [okapi("law/val/3", "Wer richtet?", ("Ein Gericht", "Ein Gast", "Ein Koch", "Ein Hund"), "E")],
    "data/de/test.jsonl": [okapi("logic/test/1", "Wie viele?", ("1", "2", "3", "4"), "C")],
    "data/zh/train.jsonl": [okapi("logic/dev/0", "哪个成立？", ("两者成立", "都不成立", "只有前者", "只有后者"), "A")],
    "data/zh/val.jsonl": [okapi("law/val/3", "谁审判？", ("法院", "客人", "厨师", "狗"), "A"),
                          okapi("law/val/4", "谁写法律？", ("议会", "歌手", "农民", "水手"), ""),
                          okapi("law/val/5", "谁读法律？", ("律师", "司机", "裁缝", "木匠"), None)],
    "data/zh/test.jsonl": [okapi("logic/test/1", "多少？", ("1", "2", "3", "4"), "C")],
}, {}, [
    ("logic/dev/0", "de", "Was gilt?", "Beides gilt", ["Nichts gilt", "Nur das erste", "Nur das letzte"], "logic"),
    ("logic/dev/0", "zh", "哪个成立？", "两者成立", ["都不成立", "只有前者", "只有后者"], "logic"),
    ("law/val/3", "zh", "谁审判？", "法院", ["客人", "厨师", "狗"], "law"),
], [("data/zh/val.jsonl", field) for field in ("id", "instruction", "answer", *OPTIONS)], languages=["de", "zh"])


def three(premise, *hypotheses):
    return [dict(premise=premise, hypothesis=hypothesis, label=label) for hypothesis, label in hypotheses]


# Labels are numbers: 0 entailment, 1 neutral, 2 contradiction. In the Russian test two rows of a three are swapped.
add("facebook/xnli", {
    "en/validation-00000-of-00001.parquet": three(
        "And he said, Mama, I'm home.", ("He called his mother.", 1), ("He said nothing.", 2), ("He spoke to her.", 0)),
    "en/test-00000-of-00001.parquet": [
        *three("They rowed ashore.", ("They used a boat.", 0), ("They were tired.", 1), ("They flew.", 2)),
        *three("It rained.", ("It was wet.", 0), ("It was May.", 1), ("It was hot.", -1))],
    "ru/validation-00000-of-00001.parquet": three(
        "И он сказал: мама, я дома.", ("Он позвонил матери.", 1), ("Он молчал.", 2), ("Он говорил с ней.", 0)),
    "ru/test-00000-of-00001.parquet": [
        *three("Они догребли до берега.", ("Они устали.", 1), ("Они были в лодке.", 0), ("Они летели.", 2)),
        *three("Шёл дождь.", ("Было мокро.", 0), ("Был май.", 1), ("Было жарко.", 2))],
}, {
    "en/train-00000-of-00001.parquet": three("Of another split.", ("Yes.", 0), ("Maybe.", 1), ("No.", 2)),
}, [
    ("validation/0", "en", "He spoke to her.", "And he said, Mama, I'm home.", ["He said nothing."], "entailment"),
    ("test/0", "en", "They used a boat.", "They rowed ashore.", ["They flew."], "entailment"),
    ("validation/0", "ru", "Он говорил с ней.", "И он сказал: мама, я дома.", ["Он молчал."], "entailment"),
    ("test/0", "ru", "Они были в лодке.", "Они догребли до берега.", ["Они летели."], "entailment"),
    ("test/1", "ru", "Было мокро.", "Шёл дождь.", ["Было жарко."], "entailment"),
], [("ru/test-00000-of-00001.parquet", field) for field in ("premise", "hypothesis", "label")], languages=["en", "ru"])


def cause(number, premise, first, second, question, label, changed=False):
    return dict(premise=premise, choice1=first, choice2=second, question=question, label=label, idx=number,
                changed=changed)


add("cambridgeltl/xcopa", {
    "it/validation-00000-of-00001.parquet": [
        cause(0, "L'oggetto era fragile.", "Era avvolto nella plastica.", "Era piccolo.", "effect", 0)],
    "it/test-00000-of-00001.parquet": [
        cause(0, "L'uomo aprì il rubinetto.", "Cercava il sapone.", "Aveva sete.", "cause", 1)],
    "zh/validation-00000-of-00001.parquet": [cause(0, "这个物品很脆弱。", "它被裹上了气泡膜。", "它很小。", "effect", 0, True)],
    "zh/test-00000-of-00001.parquet": [cause(0, "男人打开了水龙头。", "他在找肥皂。", "他口渴了。", "cause", 1)],
}, {
    "translation-it/test-00000-of-00001.parquet": [cause(0, "The man opened the tap.", "Soap.", "Thirst.", "cause", 1)],
}, [
    ("validation/0", "it", "L'oggetto era fragile quindi", "Era avvolto nella plastica.", ["Era piccolo."], "effect"),
    ("test/0", "it", "L'uomo aprì il rubinetto perché", "Aveva sete.", ["Cercava il sapone."], "cause"),
    ("validation/0", "zh", "这个物品很脆弱 所以", "它被裹上了气泡膜。", ["它很小。"], "effect"),
    ("test/0", "zh", "男人打开了水龙头 因为", "他口渴了。", ["他在找肥皂。"], "cause"),
], [("it/validation-00000-of-00001.parquet", field) for field in (
    "premise", "choice1", "choice2", "question", "label", "idx")], languages=["it", "zh"])


def school(number, language, stem, texts, answer, subject="Biology"):
    """The options are a struct of lists; the language is its English name."""
    return dict(id=number, question=dict(stem=stem, choices=dict(
        text=list(texts), label=list("ABCDE"[:len(texts)]), para=[""] * len(texts))), answerKey=answer,
        info=dict(grade=12, subject=subject, language=language))


add("mhardalov/exams", {
    "multilingual/train-00000-of-00001.parquet": [
        school("35dd6b52", "Bulgarian", "Мутациите са:", ("наследствени", "редки", "вредни"), "C"),
        school("35dd6b53", "Bulgarian", "Кое е грешно?", ("първото", "второто", "третото", "четвъртото"), "@")],
    "multilingual/validation-00000-of-00001.parquet": [
        school("7a1", "Macedonian", "Што е тоа?", ("едно", "друго", "трето", "четврто", "петто"), "E", "Physics")],
    "multilingual/test-00000-of-00001.parquet": [
        school("9c4", "Arabic", "ما هي الخلية؟", ("وحدة الحياة", "نوع من الصخور", "نجم بعيد", "آلة قديمة"), "A")],
}, {
    "multilingual_with_para/train-00000-of-00001.parquet": [
        school("z", "Arabic", "غيرها؟", ("نعم هي", "لا أبدا"), "A")],
    "multilingual_with_para/test-00000-of-00001.parquet": [school("x", "Arabic", "أخرى؟", ("نعم هي", "لا أبدا"), "A")],
    "crosslingual_bg/train-00000-of-00001.parquet": [
        school("y", "Bulgarian", "Друго?", ("да, така", "не, иначе"), "A")],
}, [
    ("9c4", "ar", "ما هي الخلية؟", "وحدة الحياة", ["نوع من الصخور", "نجم بعيد", "آلة قديمة"], "Biology"),
    ("35dd6b52", "bg", "Мутациите са:", "вредни", ["наследствени", "редки"], "Biology"),
    ("7a1", "mk", "Што е тоа?", "петто", ["едно", "друго", "трето", "четврто"], "Physics"),
], [("multilingual/test-00000-of-00001.parquet", field) for field in (
    "id", "question", "answerKey", "info", "question.stem", "question.choices", "question.choices.text",
    "question.choices.label", "info.language", "info.subject")], languages=["ar", "bg", "mk"])


def sum_of(question, number):
    return dict(question=question, answer=None, answer_number=number, equation_solution=None)


add("juletxara/mgsm", {
    "en/test-00000-of-00001.parquet": [sum_of("Roger has 5 balls and buys 6. How many has he?", 11),
                                       sum_of("A house costs 1200 and gains half. What now?", 1800)],
    "th/test-00000-of-00001.parquet": [sum_of("โรเจอร์มีลูกบอล 5 ลูก ซื้ออีก 6 ลูก รวมกี่ลูก", 11),
                                       sum_of("บ้านราคา 1200 เพิ่มขึ้นครึ่งหนึ่ง ตอนนี้เท่าไร", 1800)],
}, {
    "en/train-00000-of-00001.parquet": [dict(question="Question: of another split", answer="The answer is 11.",
                                             answer_number=11, equation_solution="5 + 6 = 11.")],
}, [
    ("0", "en", "Roger has 5 balls and buys 6. How many has he?", "11", [], "mathematics"),
    ("1", "en", "A house costs 1200 and gains half. What now?", "1800", [], "mathematics"),
    ("0", "th", "โรเจอร์มีลูกบอล 5 ลูก ซื้ออีก 6 ลูก รวมกี่ลูก", "11", [], "mathematics", "0"),
    ("1", "th", "บ้านราคา 1200 เพิ่มขึ้นครึ่งหนึ่ง ตอนนี้เท่าไร", "1800", [], "mathematics", "1"),
], [("th/test-00000-of-00001.parquet", field) for field in ("question", "answer_number")],
    languages=["en", "th"], keep="all")


def big(number, inputs, targets, scores=()):
    scores = dict(scores)
    return dict(idx=number, inputs=inputs, targets=list(targets), multiple_choice_targets=list(scores),
                multiple_choice_scores=list(scores.values()))


# The second task's first item has two best targets, its second none that can be chosen among.
add("tasksource/bigbench", {
    "known_unknowns/train-00000-of-00001.parquet": [
        big(0, "Q: Where is the lost ring?", ["It is unknown"], {"It is unknown": 1, "In the sea": 0})],
    "known_unknowns/validation-00000-of-00001.parquet": [
        big(0, "Q: Who made the wheel?", ["Nobody can say"], {"Nobody can say": 1, "Ann Example": 0})],
    "translation/train-00000-of-00001.parquet": [
        big(0, "Which words are large?", ["big", "vast"], {"tiny": 0, "big": 1, "vast": 1, "small": 0}),
        big(1, "Say hello in Italian.", ["Salve a tutti", "Ciao a tutti"])],
    "translation/validation-00000-of-00001.parquet": [big(2, "Repeat nothing.", [])],
}, {}, [
    ("known_unknowns/train/0", "en", "Q: Where is the lost ring?", "It is unknown", ["In the sea"], "known_unknowns"),
    ("translation/train/0", "en", "Which words are large?", "big", ["tiny", "small"], "translation"),
    ("translation/train/1", "en", "Say hello in Italian.", "Salve a tutti", [], "translation"),
    ("known_unknowns/validation/0", "en", "Q: Who made the wheel?", "Nobody can say", ["Ann Example"],
     "known_unknowns"),
], [("translation/train-00000-of-00001.parquet", field) for field in (
    "idx", "inputs", "targets", "multiple_choice_targets", "multiple_choice_scores")], consent=catalogue.CONSENT)

PARALLEL = {"unicamp-dl/mmarco", "openai/MMMLU", "CohereLabs/Global-MMLU", "alexandrainst/m_arc",
            "alexandrainst/m_mmlu", "facebook/xnli", "cambridgeltl/xcopa", "juletxara/mgsm"}
ON_HUB = [name for name, entry in CATALOGUE.items() if "repo" in entry]
STREAMED = [name for name in ON_HUB if CATALOGUE[name].get("stream")]


# Laying out and loading


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "made")
    return tmp_path / "made"


def parquet(rows):
    """Parquet as the Hub has it: a column or list without any value is one of texts, not of nothing."""
    table = pa.Table.from_pylist(rows)
    stream = io.BytesIO()
    pq.write_table(table.cast(pa.schema([(field.name, _texts(field.type)) for field in table.schema])), stream)
    return stream.getvalue()


def _texts(kind):
    if pa.types.is_list(kind):
        return pa.list_(_texts(kind.value_type))
    return pa.string() if pa.types.is_null(kind) else kind


def contents(name, files=None):
    """What a set's repository holds, or with other files in place of those that are read."""
    files = SETS[name]["beside"] | (SETS[name]["files"] if files is None else files)
    return {path: parquet(rows) if path.endswith(".parquet") else rows for path, rows in files.items()}


@pytest.fixture
def lay_out(hub, tmp_path):
    """A function (name, files) that puts a set where it is looked for: into the cache of the Hub at the catalogue's
    revision; entityquestions into a folder. Returns what load_corpus is to be given."""
    def lay_out(name, files=None, revision=None):
        files = contents(name, files)
        if name in ON_HUB:
            hub(CATALOGUE[name]["repo"], revision or CATALOGUE[name]["revision"], files)
            return {}
        return in_folder(tmp_path / "data", name, files)

    return lay_out


def in_folder(data, name, files):
    for path, content in files.items():
        write(data / name / path, content)
    return dict(data=str(data))


def expected(name):
    prefix = name.replace("/", "_") + "/"
    return [dict(item=prefix + item, group=prefix + (group[0] if group else item), language=language,
                 task=CATALOGUE[name]["task"], subject=subject, query=query, passage=passage, negatives=negatives)
            for item, language, query, passage, negatives, subject, *group in SETS[name]["rows"]]


def load(name, **options):
    return load_corpus(name, **SETS[name]["load"] | options)


def rows_of(corpus):
    return corpus.rows.remove_columns("hashes").to_list()


def one_error(kind, name, cache, **options):
    """The one error that loading ends in: no other is shown before it, nothing is left of the try."""
    with pytest.raises(kind) as error:
        load(name, **options)
    assert error.type is kind
    assert error.value.__cause__ is None and (error.value.__context__ is None or error.value.__suppress_context__)
    assert not cache.exists() or [path for path in cache.rglob("*") if path.suffix != ".lock"] == []
    return str(error.value)


# What is read


@pytest.mark.parametrize("name", SETS)
def test_a_set_in_its_true_schema_gives_these_rows(name, lay_out):
    corpus = load(name, **lay_out(name))
    assert rows_of(corpus) == expected(name)
    assert corpus.about["counts"].keys() == set(SETS[name]["load"].get("languages", ["en"]))
    entry = CATALOGUE[name]
    assert [corpus.about[key] for key in ("use", "licence", "repo", "revision")] == [
        entry["use"], entry["licence"], entry.get("repo", ""), entry.get("revision", "")]


@pytest.mark.parametrize("name", [name for name in SETS if len(SETS[name]["load"].get("languages", ())) > 1])
def test_items_have_their_id_in_all_languages_of_a_parallel_set_only(name):
    languages = {}
    for item, language, *_ in SETS[name]["rows"]:
        languages.setdefault(item, set()).add(language)
    assert any(len(found) > 1 for found in languages.values()) == (name in PARALLEL)


@pytest.mark.parametrize("name", ON_HUB)
def test_a_clone_of_the_repository_in_a_folder_gives_the_same_rows(name, tmp_path, hub):
    corpus = load(name, **in_folder(tmp_path / "data", name, contents(name)))  # the Hub's cache is empty
    assert rows_of(corpus) == expected(name)


@pytest.mark.parametrize("name, counts", [
    ("ibm/duorc", {"en": {"read": 4, "kept": 3, "left out: no answer in the plot": 1}}),
    ("microsoft/wiki_qa", {"en": {"read": 5, "kept": 2, "left out: a sentence that does not answer": 2,
                                  "left out: its id came before": 1}}),
    ("clips/mfaq", {"en": {"read": 2, "kept": 3, "pairs left out: in another language": 1,
                           "pairs left out: an empty query or passage": 1},
                    "ru": {"read": 1, "kept": 1, "pairs left out: in another language": 1}}),
    ("facebook/xnli", {
        "en": {"read": 9, "kept": 2, "left out: neutral or contradictory, part of another row's item": 4,
               "left out: no label": 1, "left out: a label is missing in its three": 2},
        "ru": {"read": 9, "kept": 3, "left out: neutral or contradictory, part of another row's item": 6}}),
    ("mhardalov/exams", {"ar": {"read": 1, "kept": 1}, "bg": {"read": 2, "kept": 1, "left out: no right option": 1},
                         "mk": {"read": 1, "kept": 1}}),
    ("openai/MMMLU", {language: {"read": 2, "kept": 1, "left out: its right option carries no content": 1}
                      for language in ("ar", "zh")}),
    ("alexandrainst/m_mmlu", {
        "de": {"read": 3, "kept": 1, "left out: no stem or no right option": 1,
               "left out: its right option carries no content": 1},
        "zh": {"read": 5, "kept": 2, "left out: no stem or no right option": 2,
               "left out: its right option carries no content": 1}}),
])
def test_what_is_left_out_is_counted(name, counts, lay_out):
    found = load(name, **lay_out(name)).about["counts"]
    assert {code: {what: n for what, n in found[code].items() if n} for code in found} == counts


def test_mgsm_is_empty_unless_all_is_kept(lay_out):
    corpus = load("juletxara/mgsm", **lay_out("juletxara/mgsm"), keep="content")
    assert corpus.rows.num_rows == 0
    assert corpus.about["counts"]["th"] == {"read": 2, "left out: its right option carries no content": 2}


def test_without_a_limit_mmarco_wants_the_passage_of_every_triple(lay_out, cache):
    lay_out("unicamp-dl/mmarco")
    message = one_error(ValueError, "unicamp-dl/mmarco", cache, limit=None)
    assert "english_queries.train.tsv, line 1" in message and "passage 104 is not in" in message


def test_a_tab_in_a_passage_of_mmarco_is_part_of_it(lay_out):
    files = copy.deepcopy(SETS["unicamp-dl/mmarco"]["files"])
    files["data/google/collections/english_collection.tsv"][0][1] = "The bridge\tstands \"here"
    lay_out("unicamp-dl/mmarco", files)
    assert load("unicamp-dl/mmarco").rows[0]["passage"] == "The bridge\tstands \"here"


# What is told


@pytest.mark.parametrize("name", ON_HUB)
def test_a_wrong_revision_is_one_clear_error(name, lay_out, cache):
    lay_out(name, revision="0" * 40)
    message = one_error(FileNotFoundError, name, cache)
    assert all(part in message for part in (
        repr(name), CATALOGUE[name]["repo"], CATALOGUE[name]["revision"], "check the revision and the network",
        "--data"))


def test_a_set_that_lies_nowhere_is_told_where_to_put_it(hub, cache, tmp_path):
    message = one_error(FileNotFoundError, "entityquestions", cache, data=str(tmp_path))
    assert str(tmp_path / "entityquestions") in message and "--data" in message


def patterns(name):
    """The patterns by which a set finds its files in the languages that are loaded here."""
    entry, languages = CATALOGUE[name], SETS[name]["load"].get("languages")
    names = entry["languages"] if isinstance(entry["languages"], dict) else {code: code for code in entry["languages"]}
    names = [one for code, in_file in names.items() if not languages or code in languages
             for one in ([in_file] if isinstance(in_file, str) else in_file)]
    return sorted({pattern.replace("{language}", one) for pattern in entry["files"] for one in names} | set(
        entry.get("extra", ())))


@pytest.mark.parametrize("name, pattern", [(name, pattern) for name in SETS for pattern in patterns(name)])
def test_a_missing_file_is_one_clear_error(name, pattern, lay_out, cache):
    files = {path: content for path, content in SETS[name]["files"].items() if not fnmatch(path, pattern)}
    assert len(files) < len(SETS[name]["files"])
    message = one_error(FileNotFoundError, name, cache, **lay_out(name, files))
    where = f"repository {name} at revision {CATALOGUE[name]['revision']}" if name in ON_HUB else f"data/{name}"
    assert all(part in message for part in (repr(name), where, f"has no file {pattern!r}: check languages and split"))


@pytest.mark.parametrize("name, path", [
    ("sentence-transformers/yahoo-answers", "title-answer-pair/train-00001-of-00002.parquet"),
    ("sentence-transformers/yahoo-answers", "title-answer-pair/train-00000-of-00002.parquet")])
def test_a_missing_part_of_a_split_is_one_clear_error(name, path, lay_out, cache):
    files = {other: content for other, content in SETS[name]["files"].items() if other != path}
    message = one_error(FileNotFoundError, name, cache, **lay_out(name, files))
    assert all(part in message for part in (
        repr(name), CATALOGUE[name]["revision"], "only 1 of the 2 parts of 'train'"))


def renamed(content, field, all_rows):
    """Content with a field under another name, in all records (a table has one heading) or the last; of a table
    without a heading the first line loses it."""
    content = copy.deepcopy(content)
    if isinstance(field, int):
        del content[0][field:]
        return content
    *path, name = field.split(".")
    for record in content if all_rows else content[-1:]:
        found = [record]
        for step in path:
            found = [part for one in found for part in (one if step == "*" else [one[step]])]
        for one in found:
            one |= {f"{name}_2" if key == name else key: one.pop(key) for key in list(one)}
    return content


@pytest.mark.parametrize("name, path, field", [
    (name, path, field) for name in SETS for path, field in SETS[name]["needed"]])
def test_a_renamed_field_is_one_clear_error(name, path, field, lay_out, cache):
    table = path.endswith((".parquet", ".csv"))
    files = dict(SETS[name]["files"])
    files[path] = renamed(files[path], field, table)
    message = one_error(ValueError, name, cache, **lay_out(name, files))
    unit, place = ("row", 1) if table else ("row" if path.endswith(".json") else "line", len(files[path]))
    if isinstance(field, int):
        place, field = 1, "right" if "triples" in path else "text"
    found = re.search(rf"{re.escape(path)}, {unit} {place}: no field '([^']+)'", message)
    assert found and found[1].split(".")[-1] == field.split(".")[-1], message
    assert "this data set was pinned at" in message


@pytest.mark.parametrize("record, field", [
    ({"question": "Who?", "target": "Ann"}, "input"), ({"input": "Who?"}, "target")])
def test_a_big_bench_task_in_json_without_question_or_answer_is_one_clear_error(record, field, tmp_path):
    write(tmp_path / "bbh" / "task.json", dict(examples=[dict(input="Who?", target="Ann"), record]))
    with pytest.raises(ValueError, match=rf"bbh/task.json, row 1: no field '{field}', only {', '.join(record)}: "):
        load_corpus("bbh", "all", data=str(tmp_path), consent=catalogue.CONSENT)


# Over the network


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's interface as reading a data set takes. server.repos: {(repository, revision): {path:
    bytes}}; server.broken: the path of a file that cannot be had; server.log: what was asked for."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in (dict(content_length=len(body)) | headers).items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.server.log.append(f"{self.command} {path} {self.headers.get('range', '')}".strip())
        found = (re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(revision|tree)/(\w+)/?(.*)", path)
                 or re.fullmatch(r"/datasets/([^/]+/[^/]+)/(resolve)/(\w+)/(.*)", path))
        repo, kind, revision, path = found.groups()
        if repo not in {repo for repo, _ in self.server.repos}:
            return self.answer(404, x_error_code="RepoNotFound")
        if (repo, revision) not in self.server.repos:
            return self.answer(404, x_error_code="RevisionNotFound")
        files = self.server.repos[repo, revision]
        if kind == "revision":
            return self.answer(200, json.dumps(dict(id=repo, sha=revision)).encode(), content_type="application/json")
        if kind == "tree":
            return self.tree(files, path and path + "/", "recursive=true" in url.query.lower())
        if path == self.server.broken:
            return self.answer(403)
        if path not in files:
            return self.answer(404, x_error_code="EntryNotFound")
        body, status, headers = files[path], 200, dict(etag=f'"{abs(hash(files[path])):x}"', x_repo_commit=revision)
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "")):
            first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
            headers["content_range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first:last + 1], 206
        self.answer(status, body, **headers)

    do_HEAD = do_GET

    def tree(self, files, folder, recursive):
        inside = {path.removeprefix(folder): body for path, body in files.items() if path.startswith(folder)}
        if not inside:
            return self.answer(404, x_error_code="EntryNotFound")
        folders = {"/".join(path.split("/")[:depth]) for path in inside for depth in range(1, path.count("/") + 1)}
        entries = [dict(type="directory", oid="0" * 40, size=0, path=folder + path) for path in sorted(folders)]
        entries += [dict(type="file", oid="0" * 40, size=len(inside[path]), path=folder + path) for path in inside]
        entries = [entry for entry in entries if recursive or "/" not in entry["path"].removeprefix(folder)]
        self.answer(200, json.dumps(entries).encode(), content_type="application/json")


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads, server.repos, server.log = True, {}, []
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.02), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def online(server, hub, tmp_path, monkeypatch):
    """A function (name, revision) that puts a set on the Hub, which is a server of our own, and goes online."""
    server.repos, server.log, server.broken = {}, [], None
    use_hub(monkeypatch, f"http://127.0.0.1:{server.server_port}")

    def online(name, revision=None):
        in_folder(tmp_path / "sent", name, contents(name))
        folder = tmp_path / "sent" / name
        server.repos[CATALOGUE[name]["repo"], revision or CATALOGUE[name]["revision"]] = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return online


def use_hub(monkeypatch, address):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    HfFileSystem.clear_instance_cache()
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # between tries
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(
        constants.ENDPOINT, address))
    monkeypatch.setattr(constants, "ENDPOINT", address)


@pytest.mark.parametrize("name", STREAMED)
def test_a_large_set_is_read_over_the_network_and_not_kept(name, online, server, tmp_path):
    online(name)
    corpus = load(name)
    assert rows_of(corpus) == expected(name)
    asked = [line.partition("/resolve/")[2].partition("/")[2].split() for line in server.log if "/resolve/" in line]
    assert {path for path, *_ in asked} == set(SETS[name]["files"])
    assert all(part and part[0].startswith("bytes=") for _, *part in asked)  # in parts, not as a whole
    assert not (tmp_path / "hub").exists()


def test_of_a_large_set_no_more_is_read_than_the_limit_takes(online, server):
    name, path = "clips/mfaq", "data/ru/train.jsonl"
    online(name)
    page = server.repos[name, CATALOGUE[name]["revision"]][path]
    server.repos[name, CATALOGUE[name]["revision"]][path] = whole = page * (20_000_000 // len(page))
    assert rows_of(load(name, languages=["ru"], limit=1)) == expected(name)[-1:]
    parts = re.findall(r"/train.jsonl bytes=(\d+)-(\d+)", "\n".join(server.log))
    assert parts and sum(int(last) - int(first) for first, last in parts) < len(whole) * 0.6


@pytest.mark.parametrize("name", ["cambridgeltl/xcopa", "castorini/mr-tydi"])
def test_a_small_set_is_downloaded_once_and_only_what_is_asked_for(name, online, server, tmp_path, cache):
    online(name)
    assert rows_of(load(name)) == expected(name)
    folder = next((tmp_path / "hub").glob("*/snapshots/*"))
    assert folder.name == CATALOGUE[name]["revision"]
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(SETS[name]["files"])
    shutil.rmtree(cache)
    asked = len(server.log)
    assert rows_of(load(name)) == expected(name)
    assert not any("/resolve/" in line for line in server.log[asked:])


@pytest.mark.parametrize("name", [*STREAMED, "cambridgeltl/xcopa"])
def test_a_revision_that_the_hub_does_not_have_is_one_clear_error(name, online, cache):
    online(name, revision="0" * 40)
    message = one_error(FileNotFoundError, name, cache)
    assert all(part in message for part in (repr(name), CATALOGUE[name]["repo"], CATALOGUE[name]["revision"],
                                            "has no repository", "check the revision and the network"))


@pytest.mark.parametrize("name", [*STREAMED, "cambridgeltl/xcopa"])
def test_a_hub_out_of_reach_is_one_clear_error(name, hub, cache, monkeypatch):
    use_hub(monkeypatch, "http://127.0.0.1:9")  # nobody listens there
    message = one_error(FileNotFoundError, name, cache)
    assert all(part in message for part in (repr(name), CATALOGUE[name]["repo"], CATALOGUE[name]["revision"],
                                            "out of reach", "check the revision and the network"))


@pytest.mark.parametrize("name", STREAMED)
def test_a_file_that_breaks_off_is_one_clear_error(name, online, server, cache):
    online(name)
    server.broken = path = SETS[name]["needed"][0][0]
    message = one_error(FileNotFoundError, name, cache)
    assert all(part in message for part in (name, CATALOGUE[name]["revision"], path, "over the network", "--data"))


# The catalogue


def test_every_set_on_the_hub_is_tested_here():
    assert set(SETS) == {*ON_HUB, "entityquestions"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_of_the_catalogue_says_what_is_needed(name):
    entry = CATALOGUE[name]
    assert all(entry[key] for key in ("title", "licence", "languages", "files", "note"))
    assert entry["use"] in ("training", "reasoning", "validation", "parallel", "analysis")
    assert entry["task"] in catalogue.TASKS
    assert entry["reader"] in catalogue.READERS
    assert bool(entry.get("family")) == (entry["task"] == "reasoning")
    assert not entry.get("canary") or entry["use"] == "analysis"
    assert set(entry) <= {"title", "licence", "note", "use", "task", "family", "repo", "revision", "stream",
                          "folder", "languages", "files", "extra", "reader", "canary", "holdout", "fields", "optional", "native",
                          "where", "otherwise", "columns", "labels", "connectives", "most", "least", "picks"}
    assert "picks" not in entry or Path(catalogue.__file__).with_name(entry["picks"]).exists()
    codes = list(entry["languages"])
    assert all(isinstance(code, str) and re.fullmatch("[a-z]{2,3}(-[A-Z][a-z]{3})?", code) for code in codes)
    assert len(codes) == len(set(codes))
    assert ("repo" in entry) == ("revision" in entry) == bool(re.fullmatch("[0-9a-f]{40}", entry.get("revision", "")))
    assert entry.get("repo", name) == name
    assert "repo" in entry or "stream" not in entry
    assert len(codes) == 1 or entry["reader"] == "exams" or all("{language}" in pattern for pattern in entry["files"])


def test_every_reader_is_used():
    assert {entry["reader"] for entry in CATALOGUE.values()} == set(catalogue.READERS)
