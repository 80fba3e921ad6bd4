# Golden values of the test of constant effects, from R survival (cox.zph, version >= 3), ties = "efron".
# Run here: Rscript make_golden.R
library(survival)
stopifnot(packageVersion("survival") >= "3.0")

save_data <- function(frame, file) write.csv(format(frame, digits = 17, trim = TRUE), file, row.names = FALSE, quote = FALSE)
set.seed(20261204)
# 1. two columns, one of them losing its effect; times in whole months, so heavily tied
n <- 90
plain <- data.frame(x1 = rnorm(n), x2 = rbinom(n, 1, 0.4))
plain$time <- ceiling(9 * rexp(n)^(0.8 * exp(0.3 * plain$x1)) * exp(-0.4 * plain$x1 - 0.3 * plain$x2))
cens <- sample(2:24, n, replace = TRUE)
plain$event <- as.integer(plain$time <= cens)
plain$time <- pmin(plain$time, cens)
plain$entry <- 0
plain$stratum <- "all"
# 2. the same columns in three strata of different baseline
strata <- plain
strata$stratum <- sample(c("east", "north", "south"), n, replace = TRUE)
strata$time <- pmax(1, round(strata$time * c(east = 0.6, north = 1, south = 1.5)[strata$stratum]))
# 3. strata, ties and late entry; some enter at the time of others' events
late <- strata
late$time <- late$time + 1
late$entry <- ifelse(runif(n) < 0.5, floor(late$time * runif(n)), 0)
# 4. one column, no ties
single <- data.frame(x1 = rnorm(60))
single$time <- 20 * rexp(60) * exp(-0.7 * single$x1)
single$event <- as.integer(runif(60) < 0.7)
single$entry <- 0
single$stratum <- "all"

control <- coxph.control(eps = 1e-13, iter.max = 100, toler.chol = 1e-14)
rows <- list()
add <- function(problem, transform, name, quantity, value)
  rows[[length(rows) + 1]] <<- data.frame(problem, transform, name, quantity, value = sprintf("%.17g", value))

# The change of one effect over g(t) by one Newton step from no change, on data cut at every event:
# what the score test tests. coxph with iter.max = 1 takes exactly that step.
one_step <- function(d, names, fit, name, g, centre) {
  cuts <- sort(unique(d$time[d$event == 1]))
  parts <- survSplit(Surv(entry, time, event) ~ ., d, cut = cuts, start = "entry", end = "time", event = "event")
  parts$change <- parts[[name]] * (g[match(parts$time, d$time)] - centre)
  form <- as.formula(paste("Surv(entry, time, event) ~", paste(c(names, "change"), collapse = "+"), "+ strata(stratum)"))
  step <- suppressWarnings(coxph(form, parts, ties = "efron", init = c(coef(fit), 0), control = coxph.control(iter.max = 1, eps = 1e-13, toler.chol = 1e-14)))
  coef(step)["change"]
}

for (problem in c("plain", "strata", "late", "single")) {
  d <- get(problem)
  save_data(d, paste0(problem, ".csv"))
  names <- grep("^x", names(d), value = TRUE)
  response <- if (any(d$entry > 0)) "Surv(entry, time, event)" else "Surv(time, event)"
  fit <- coxph(as.formula(paste(response, "~", paste(names, collapse = "+"), "+ strata(stratum)")), d,
               ties = "efron", control = control)
  for (name in names) add(problem, "", name, "coefficient", coef(fit)[name])
  for (transform in c("km", "rank", "log", "identity")) {
    zph <- cox.zph(fit, transform = transform)
    for (name in rownames(zph$table)) {
      add(problem, transform, name, "statistic", zph$table[name, "chisq"])
      add(problem, transform, name, "df", zph$table[name, "df"])
      add(problem, transform, name, "p_value", zph$table[name, "p"])
    }
    # zph$x are the transformed times of the events, so that g is cox.zph's own
    g <- zph$x[match(d$time, zph$time)]
    centre <- mean(zph$x)
    for (name in names) add(problem, transform, name, "slope", one_step(d, names, fit, name, g, centre))
  }
}
write.csv(do.call(rbind, rows), "zph.csv", row.names = FALSE, quote = FALSE)
writeLines(capture.output(sessionInfo()), "session_info.txt")
