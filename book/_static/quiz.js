// The quizzes of the course: checks an answer, gives its reason, and counts what was right at the first try.
// Without this script the questions stand there with their reasons folded under each.
(() => {
  const questions = [...document.querySelectorAll(".quiz-question")];
  const score = document.querySelector(".quiz-score");
  const tries = new Map();

  const tell = () => {
    const right = [...tries.values()].filter((first) => first).length;
    score.textContent = `${tries.size} of ${questions.length} questions answered, ${right} right at the first try.`;
  };

  questions.forEach((question, number) => {
    const feedback = document.createElement("p");
    feedback.className = "quiz-feedback";
    feedback.setAttribute("role", "status");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Check";
    button.setAttribute("aria-label", `Check the answer to question ${number + 1}`);
    button.addEventListener("click", () => {
      const chosen = question.querySelector("input:checked");
      if (!chosen) {
        feedback.textContent = "Choose an option first.";
        return;
      }
      const right = chosen.value === question.dataset.right;
      if (!tries.has(number)) tries.set(number, right);
      const reason = question.querySelectorAll(".quiz-reason")[Number(chosen.value)];
      const verdict = document.createElement("strong");
      verdict.textContent = right ? "Right. " : "Not this one. ";
      feedback.replaceChildren(verdict, ...reason.cloneNode(true).childNodes);
      question.dataset.state = right ? "right" : "wrong";
      tell();
    });
    question.querySelector("details").before(button, feedback);
  });
  tell();
})();
