# Golden values for competing events, delayed entry, standard errors, Cox censoring weights and
# random-effects pooling.
# Usage: Rscript make_golden_competing.R, from this folder, after make_golden.R (reads hcc.csv, tied.csv).
# Writes competing.csv (input), golden_competing.csv (values; R function and tie rule beside each),
# session_info_competing.txt.
suppressPackageStartupMessages({library(survival); library(prodlim); library(riskRegression); library(Hmisc); library(metafor)})
options(digits = 15)
golden <- data.frame()
add <- function(data, quantity, argument, value, fun, ties) {
  golden <<- rbind(golden, data.frame(data = data, quantity = quantity, argument = as.character(argument),
                                      value = as.numeric(value), r_function = fun, tie_rule = ties))
}

# --- input --------------------------------------------------------------------------------------
# smooth: hardly any tied times; late: the same patients in whole months, with delayed entry
set.seed(20261125)
n <- 150
d <- data.frame(patient_id = 1:n, cohort = rep(c("a", "b", "c"), length.out = n))
d$x <- round(rnorm(n), 2)
d$site <- rbinom(n, 1, 0.4)
interest <- rexp(n, 0.04 * exp(0.8 * d$x))
competing <- rexp(n, 0.025 * exp(-0.3 * d$x))
censored <- rexp(n, 0.02 * exp(0.7 * d$site)) + 1
d$time <- round(pmin(interest, competing, censored, 40), 3)
d$cause <- ifelse(pmin(interest, competing) > pmin(censored, 40), 0, ifelse(interest < competing, 1, 2))
d$whole <- ceiling(d$time)
d$entry <- pmin(floor(runif(n, 0, 8)), pmax(d$whole - 1, 0))
for (t in c(6, 12, 18)) {
  total <- 0.04 * exp(0.8 * d$x) + 0.025 * exp(-0.3 * d$x)
  d[[paste0("survival_", t)]] <- round(1 - 0.04 * exp(0.8 * d$x) / total * (1 - exp(-total * t)), 4)
}
write.csv(d, "competing.csv", row.names = FALSE, quote = FALSE)
tied <- read.csv("tied.csv"); hcc <- read.csv("hcc.csv")

before <- "events before censorings at one time"
half <- paste0(before, "; two events at one time not compared; equal risks 1/2")
times <- c(6, 12, 18)
S <- as.matrix(d[paste0("survival_", times)])

# --- curves and concordance with delayed entry ----------------------------------------------------
d$event <- as.integer(d$cause == 1); d$any <- as.integer(d$cause > 0)
at <- c(2, 5, 6, 12, 18, 24, 30)
km <- survfit(Surv(entry, whole, any) ~ 1, d)
k <- summary(km, times = at)
for (i in seq_along(at)) {
  add("late", "kaplan_meier", at[i], k$surv[i], "survival::survfit(Surv(entry, time, event))", before)
  add("late", "kaplan_meier_se", at[i], k$std.err[i], "survival::survfit (Greenwood)", before)
  add("late", "nelson_aalen", at[i], k$cumhaz[i], "survival::survfit $cumhaz", before)
}
for (i in seq_along(km$time)) add("late", "at_risk", km$time[i], km$n.risk[i], "survival::survfit $n.risk", before)
state <- factor(d$cause, 0:2, c("censored", "interest", "competing"))
aj <- survfit(Surv(entry, whole, state) ~ 1, d, id = patient_id)
a <- summary(aj, times = at)
for (i in seq_along(at)) for (j in 1:2) {
  add("late", paste0("aalen_johansen_", j), at[i], a$pstate[i, j + 1], "survival::survfit(Surv(entry, time, state), id)", before)
  add("late", paste0("aalen_johansen_se_", j), at[i], a$std.err[i, j + 1], "survival::survfit (infinitesimal jackknife)", before)
}
for (tau in c(12, 24)) {
  m <- summary(survfit(Surv(whole, any) ~ 1, d), rmean = tau)$table
  add("whole", "restricted_mean", tau, m["rmean"], "survival::summary.survfit(rmean =)", before)
  add("whole", "restricted_mean_se", tau, m["se(rmean)"], "survival::summary.survfit(rmean =)", before)
  m <- summary(km, rmean = tau)$table
  add("late", "restricted_mean", tau, m["rmean"], "survival::summary.survfit(rmean =), Surv(entry, time, event)", before)
  add("late", "restricted_mean_se", tau, m["se(rmean)"], "survival::summary.survfit(rmean =), Surv(entry, time, event)", before)
}
m <- summary(survfit(Surv(time, event) ~ 1, hcc), rmean = 36)$table
add("hcc", "restricted_mean", 36, m["rmean"], "survival::summary.survfit(rmean =)", before)
add("hcc", "restricted_mean_se", 36, m["se(rmean)"], "survival::summary.survfit(rmean =)", before)

concordances <- function(name, formula, data, horizon) {
  f <- concordance(formula, data, reverse = TRUE)
  add(name, "concordance_harrell", "all", f$concordance, "survival::concordance(reverse = TRUE)", half)
  add(name, "concordance_harrell_se", "all", sqrt(f$var), "survival::concordance $var (infinitesimal jackknife)", half)
  f <- concordance(formula, data, reverse = TRUE, ymax = horizon)
  add(name, "concordance_harrell", horizon, f$concordance, "survival::concordance(ymax = horizon)", half)
  add(name, "concordance_harrell_se", horizon, sqrt(f$var), "survival::concordance(ymax = horizon) $var", half)
}
concordances("late", Surv(entry, whole, event) ~ x, d, 12)
concordances("smooth", Surv(time, event) ~ x, d, 12)
concordances("hcc", Surv(time, event) ~ linear_predictor, hcc, 24)
concordances("tied", Surv(time, event) ~ linear_predictor, tied, 8)
for (name in c("hcc", "tied")) {
  data <- get(name); horizon <- c(hcc = 24, tied = 8)[[name]]
  f <- concordance(Surv(time, event) ~ linear_predictor, data, reverse = TRUE, timewt = "n/G2", ymax = horizon)
  add(name, "concordance_uno_se_known_weights", horizon, sqrt(f$var), "survival::concordance(timewt = 'n/G2') $var", half)
}
add("late", "calibration_slope", "x", coef(coxph(Surv(entry, whole, event) ~ x, d, control = coxph.control(eps = 1e-11))),
    "survival::coxph(Surv(entry, time, event), ties = 'efron')", "Efron")

# Uno's C with its weights estimated: infinitesimal jackknife by numerical derivatives of case weights
weighted_uno <- function(w, data, horizon) {
  G <- function(t) {  # weighted reverse Kaplan-Meier just before t
    g <- 1
    for (s in sort(unique(data$time[data$event == 0 & data$time < t]))) {
      leave <- data$event == 0 & data$time == s
      risk <- data$time > s | leave
      g <- g * (1 - sum(w[leave]) / sum(w[risk]))
    }
    g
  }
  above <- total <- 0
  for (i in which(data$event == 1 & data$time <= horizon)) {
    other <- data$time > data$time[i] | (data$time == data$time[i] & data$event == 0)
    pair <- w[i] * w * other / G(data$time[i])^2
    r <- data$linear_predictor
    total <- total + sum(pair); above <- above + sum(pair * ((r[i] > r) + (r[i] == r) / 2))
  }
  above / total
}
slope <- sapply(seq_len(nrow(tied)), function(k) {
  up <- down <- rep(1, nrow(tied)); h <- 1e-4; up[k] <- 1 + h; down[k] <- 1 - h
  (weighted_uno(up, tied, 8) - weighted_uno(down, tied, 8)) / (2 * h)
})
add("tied", "concordance_uno_se", 8, sqrt(sum(slope^2)), "by hand: central differences (1e-4) in the case weights", half)

# --- competing events: error and discrimination -----------------------------------------------------
for (name in c("smooth", "whole")) {
  data <- d; if (name == "whole") data$time <- d$whole
  score <- Score(list(model = 1 - S), formula = Hist(time, cause) ~ 1, data = data, times = times, cause = 1,
                 cens.model = "km", metrics = c("auc", "brier"), summary = "ipa", null.model = TRUE, se.fit = TRUE,
                 conf.int = TRUE, conservative = FALSE, contrasts = FALSE)
  where <- "riskRegression::Score(Hist(time, cause) ~ 1, cens.model = 'km')"
  b <- as.data.frame(score$Brier$score); b <- b[b$model == "model", ]
  a <- as.data.frame(score$AUC$score); a <- a[a$model == "model", ]
  for (i in seq_along(times)) {
    add(name, "brier_score", times[i], b$Brier[i], where, before)
    add(name, "brier_score_se", times[i], b$se[i], where, before)
    add(name, "index_of_prediction_accuracy", times[i], b$IPA[i], where, before)
    add(name, "time_dependent_auc", times[i], a$AUC[i], where, paste0(before, "; equal risks 1/2"))
    add(name, "time_dependent_auc_se", times[i], a$se[i], where, paste0(before, "; equal risks 1/2"))
  }
  fixed <- Score(list(model = 1 - S), formula = Hist(time, cause) ~ 1, data = data, times = times, cause = 1,
                 cens.model = "km", metrics = c("auc", "brier"), null.model = FALSE, se.fit = TRUE, conf.int = TRUE,
                 conservative = TRUE, contrasts = FALSE)
  where <- "riskRegression::Score(..., conservative = TRUE)"
  for (i in seq_along(times)) {
    add(name, "brier_score_se_known_weights", times[i], fixed$Brier$score$se[i], where, before)
    add(name, "time_dependent_auc_se_known_weights", times[i], fixed$AUC$score$se[i], where, paste0(before, "; equal risks 1/2"))
  }
  # weights once more, from prodlim: what the sums by hand below use
  reverse <- prodlim(Hist(time, any) ~ 1, data, reverse = TRUE)
  left <- function(t) sapply(t, function(u) { k <- sum(reverse$time < u); if (k == 0) 1 else reverse$surv[k] })
  at_time <- function(t) predict(reverse, times = t, type = "surv")
  horizon <- 12
  case <- data$cause == 1 & data$time <= horizon
  w <- ifelse(data$time > horizon, 1 / at_time(horizon), ifelse(data$any == 1, 1 / left(data$time), 0))
  p <- 1 - S[, 2]
  hand <- "by hand, weights of prodlim::prodlim(reverse = TRUE)"
  for (threshold in c(0.2, 0.3)) {
    positive <- p >= threshold
    tp <- sum(w[case & positive]); fp <- sum(w[!case & positive]); tn <- sum(w[!case & !positive]); fn <- sum(w[case & !positive])
    add(name, "sensitivity", threshold, tp / (tp + fn), hand, before)
    add(name, "specificity", threshold, tn / (tn + fp), hand, before)
    add(name, "ppv", threshold, tp / (tp + fp), hand, before)
    add(name, "npv", threshold, tn / (tn + fn), hand, before)
    add(name, "accuracy", threshold, (tp + tn) / (tp + tn + fp + fn), hand, before)
    add(name, "net_benefit", threshold, (tp - fp * threshold / (1 - threshold)) / n, hand, before)
  }
  # concordance: a competing event at or before t_i stands beyond it (Wolbers et al. 2014)
  above <- total <- 0
  for (i in which(case)) for (j in seq_len(n)) {
    later <- data$time[j] > data$time[i] || (data$time[j] == data$time[i] && data$any[j] == 0)
    never <- data$cause[j] == 2 && data$time[j] <= data$time[i]
    if (!later && !never) next
    v <- 1 / (left(data$time[i]) * left(if (later) data$time[i] else data$time[j])); total <- total + v
    above <- above + v * ((data$x[i] > data$x[j]) + (data$x[i] == data$x[j]) / 2)
  }
  add(name, "concordance_uno", horizon, above / total, hand, half)
  # calibration: Aalen-Johansen, log-minus-log limits of the incidence
  state <- factor(data$cause, 0:2, c("censored", "interest", "competing"))
  f <- survfit(Surv(data$time, state) ~ 1, conf.type = "log-log")
  k <- summary(f, times = horizon)
  add(name, "observed", horizon, k$pstate[2], "survival::survfit (factor status)", before)
  add(name, "observed_se", horizon, k$std.err[2], "survival::survfit (infinitesimal jackknife)", before)
  add(name, "observed_expected", horizon, k$pstate[2] / mean(p), "survival::survfit (factor status)", before)
  add(name, "observed_expected_lower", horizon, k$pstate[2] / mean(p) * exp(-qnorm(.975) * k$std.err[2] / k$pstate[2]),
      "survival::survfit, limits of the log ratio by hand", before)
  group <- findInterval(p, unique(quantile(p, c(.25, .5, .75))), left.open = TRUE)
  for (g in sort(unique(group))) {
    keep <- group == g
    k <- summary(survfit(Surv(data$time[keep], state[keep]) ~ 1, conf.type = "log-log"), times = horizon)
    add(name, "group_observed", g + 1, k$pstate[2], "survival::survfit (factor status)", before)
    add(name, "group_lower", g + 1, k$lower[2], "survival::survfit(conf.type = 'log-log')", before)
    add(name, "group_upper", g + 1, k$upper[2], "survival::survfit(conf.type = 'log-log')", before)
  }
  # smooth curve: Fine-Gray on a restricted cubic spline
  cll <- log(-log(1 - p))
  basis <- rcspline.eval(cll, knots = quantile(cll, c(.1, .5, .9)), inclx = TRUE)
  fg <- finegray(Surv(time, state) ~ ., data = data.frame(time = data$time, state = state, b1 = basis[, 1], b2 = basis[, 2]),
                 etype = "interest")
  fit <- coxph(Surv(fgstart, fgstop, fgstatus) ~ b1 + b2, weights = fgwt, data = fg, control = coxph.control(eps = 1e-11))
  observed <- 1 - as.numeric(summary(survfit(fit, newdata = data.frame(b1 = basis[, 1], b2 = basis[, 2])), times = horizon)$surv)
  add(name, "ici", horizon, mean(abs(observed - p)), "survival::finegray + coxph on Hmisc::rcspline.eval(3 knots)", "Efron")

  # --- censoring by Cox regression: ties ordered, events before censorings --------------------------
  code <- 2 * match(data$time, sort(unique(data$time))) + (1 - data$any)
  cens <- coxph(Surv(code, 1 - any) ~ x + site, data, control = coxph.control(eps = 1e-11))
  curves <- survfit(cens, newdata = data)
  G <- function(i, k) { m <- sum(curves$time <= k); if (m == 0) 1 else curves$surv[m, i] }
  limit <- 2 * sum(sort(unique(data$time)) <= horizon) + 1
  wc <- sapply(seq_len(n), function(i) if (data$time[i] > horizon) 1 / G(i, limit) else if (data$any[i] == 1) 1 / G(i, code[i] - 1) else 0)
  where <- "by hand, weights of survival::coxph + survfit on 2 rank(time) + (1 - event)"
  add(name, "brier_score_cox", horizon, mean(wc * (case - p)^2), where, before)
  pair <- outer(wc[case], wc[!case]); hit <- outer(data$x[case], data$x[!case], ">") + outer(data$x[case], data$x[!case], "==") / 2
  add(name, "time_dependent_auc_cox", horizon, sum(pair * hit) / sum(pair), where, paste0(before, "; equal risks 1/2"))
  above <- total <- 0
  for (i in which(data$any == 1 & data$time <= horizon)) for (j in seq_len(n)) if (code[j] > code[i] && (data$time[j] > data$time[i] || data$any[j] == 0)) {
    v <- 1 / (G(i, code[i] - 1) * G(j, code[i] - 1)); total <- total + v
    above <- above + v * ((data$x[i] > data$x[j]) + (data$x[i] == data$x[j]) / 2)
  }
  add(name, "concordance_uno_cox", horizon, above / total, where, half)
}
# standard errors without competing events
for (name in c("hcc", "tied")) {
  data <- get(name); t3 <- if (name == "hcc") c(12, 24, 36) else c(4, 8, 12)
  R <- 1 - as.matrix(data[paste0("survival_", t3)])
  for (conservative in c(FALSE, TRUE)) {
    score <- Score(list(model = R), formula = Surv(time, event) ~ 1, data = data, times = t3, cens.model = "km",
                   metrics = c("auc", "brier"), null.model = FALSE, se.fit = TRUE, conf.int = TRUE, conservative = conservative,
                   contrasts = FALSE)
    suffix <- if (conservative) "_se_known_weights" else "_se"
    where <- paste0("riskRegression::Score(cens.model = 'km', conservative = ", conservative, ")")
    for (i in seq_along(t3)) {
      add(name, paste0("brier_score", suffix), t3[i], score$Brier$score$se[i], where, before)
      add(name, paste0("time_dependent_auc", suffix), t3[i], score$AUC$score$se[i], where, paste0(before, "; equal risks 1/2"))
    }
  }
}

# Score's formula for the estimated weights takes times as untied; with ties, numerical derivatives of the case weights
weighted_pair <- function(w, data, risk, horizon) {  # Brier score and AUC under case weights
  steps <- sort(unique(data$time[data$any == 0 & data$time <= horizon]))
  factor <- vapply(steps, function(s) {
    leave <- data$any == 0 & data$time == s
    1 - sum(w[leave]) / sum(w[data$time > s | leave])
  }, numeric(1))
  left <- sapply(data$time, function(t) prod(factor[steps < t]))
  v <- ifelse(data$time > horizon, 1 / prod(factor), ifelse(data$any == 1, 1 / left, 0))
  case <- data$event == 1 & data$time <= horizon
  pair <- outer((w * v)[case], (w * v)[!case])
  hit <- outer(risk[case], risk[!case], ">") + outer(risk[case], risk[!case], "==") / 2
  c(sum(w * v * (case - risk)^2) / sum(w), sum(pair * hit) / sum(pair))
}
where <- "by hand: central differences (1e-4) in the case weights"
for (name in c("tied", "hcc", "whole")) {
  data <- if (name == "whole") transform(d, time = whole) else get(name)
  if (name != "whole") data$any <- data$event
  t3 <- list(tied = c(4, 8, 12), hcc = c(12, 24, 36), whole = times)[[name]]
  for (t in t3) {
    risk <- 1 - data[[paste0("survival_", t)]]
    slopes <- sapply(seq_len(nrow(data)), function(k) {
      up <- down <- rep(1, nrow(data)); h <- 1e-4; up[k] <- 1 + h; down[k] <- 1 - h
      (weighted_pair(up, data, risk, t) - weighted_pair(down, data, risk, t)) / (2 * h)
    })
    add(name, "brier_score_se_derivative", t, sqrt(sum(slopes[1, ]^2)), where, before)
    add(name, "time_dependent_auc_se_derivative", t, sqrt(sum(slopes[2, ]^2)), where, paste0(before, "; equal risks 1/2"))
  }
}

# --- random effects -------------------------------------------------------------------------------
estimate <- c(0.62, 0.71, 0.66, 0.58, 0.69); se <- c(0.03, 0.04, 0.025, 0.05, 0.035)
pool <- function(scale, y, v, back) for (method in c("REML", "DL")) {
  fit <- rma(y, v, method = method, test = "knha", control = list(threshold = 1e-12, maxiter = 1000))
  where <- paste0("metafor::rma(method = '", method, "', test = 'knha')")
  name <- paste0("pool_", scale)
  add(name, "estimate", method, back(fit$beta[1]), where, ""); add(name, "lower", method, back(fit$ci.lb), where, "")
  add(name, "upper", method, back(fit$ci.ub), where, ""); add(name, "tau2", method, fit$tau2, where, "")
  add(name, "q", method, fit$QE, where, "")
  interval <- predict(fit)
  where <- paste0("metafor::predict.rma, ", where)
  add(name, "prediction_lower", method, back(interval$pi.lb), where, ""); add(name, "prediction_upper", method, back(interval$pi.ub), where, "")
}
pool("identity", estimate, se^2, identity)
pool("logit", qlogis(estimate), (se / (estimate * (1 - estimate)))^2, plogis)
pool("log", log(estimate), (se / estimate)^2, exp)

golden$tie_rule[golden$tie_rule == ""] <- "no ties"
write.csv(golden, "golden_competing.csv", row.names = FALSE)
session <- capture.output(sessionInfo())
writeLines(session[!grepl("^(BLAS|LAPACK):|^Matrix products", session)], "session_info_competing.txt")  # no paths of this machine
