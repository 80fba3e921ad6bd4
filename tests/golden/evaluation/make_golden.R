# Golden values for times_stats.nonparametric and times_stats.evaluation.
# Usage: Rscript make_golden.R PATIENTS_RAW_CSV   (patients_raw.csv of hcc_ihc_regions), from this folder.
# Writes tied.csv and hcc.csv (inputs), golden.csv (values; R function and tie rule beside each), session_info.txt.
suppressPackageStartupMessages({library(survival); library(prodlim); library(pec); library(riskRegression); library(Hmisc)})
arguments <- commandArgs(trailingOnly = TRUE)
options(digits = 15)
golden <- data.frame()
add <- function(data, quantity, argument, value, fun, ties) {
  golden <<- rbind(golden, data.frame(data = data, quantity = quantity, argument = argument,
                                      value = as.numeric(value), r_function = fun, tie_rule = ties))
}

# --- inputs -------------------------------------------------------------------------------------
set.seed(20261122)
n <- 60
tied <- data.frame(patient_id = 1:n, cohort = rep(c("a", "b", "c"), length.out = n))
tied$linear_predictor <- round(rnorm(n), 1)
event_time <- ceiling(rexp(n, 0.06 * exp(tied$linear_predictor)) * 1)
censor_time <- ceiling(runif(n, 2, c(a = 40, b = 30, c = 25)[tied$cohort]))
tied$time <- pmin(event_time, censor_time)
tied$event <- as.integer(event_time <= censor_time)
tied$cause <- tied$event * ifelse(runif(n) < 0.3, 2, 1)
tied$weight <- sample(1:4, n, replace = TRUE)
for (t in c(4, 8, 12)) tied[[paste0("survival_", t)]] <- round(exp(-0.05 * t * exp(tied$linear_predictor)), 4)
write.csv(tied, "tied.csv", row.names = FALSE, quote = FALSE)

raw <- read.csv(arguments[1])
hcc <- data.frame(patient_id = raw$Number, time = raw$RFS, event = raw$Recurrence, tnm = raw$TNM, bclc = raw$BCLC,
                  cohort = ifelse(is.na(raw$CD57T), "absent", "present"))
hcc$linear_predictor <- round(1.5 * (log1p(raw$CXCL17P) - mean(log1p(raw$CXCL17P))) * 0.4 + 0.5 * (raw$TNM - 1), 4)
for (t in c(12, 24, 36)) hcc[[paste0("survival_", t)]] <- round(exp(-0.012 * t * exp(hcc$linear_predictor)), 4)
write.csv(hcc, "hcc.csv", row.names = FALSE, quote = FALSE)

before <- "events before censorings at one time"
half <- paste(before, "; two events at one time not compared; equal risks 1/2", sep = "")

for (name in c("tied", "hcc")) {
  d <- if (name == "tied") tied else hcc
  times <- if (name == "tied") c(4, 8, 12) else c(12, 24, 36)
  horizon <- times[2]
  S <- as.matrix(d[paste0("survival_", times)])

  # --- curves -----------------------------------------------------------------------------------
  km <- survfit(Surv(time, event) ~ 1, d)
  for (i in seq_along(km$time)) {
    t <- km$time[i]
    add(name, "kaplan_meier", t, km$surv[i], "survival::survfit", before)
    if (km$surv[i] > 0) add(name, "kaplan_meier_se", t, km$surv[i] * km$std.err[i], "survival::survfit (Greenwood)", before)
    add(name, "nelson_aalen", t, km$cumhaz[i], "survival::survfit $cumhaz (ctype = 1)", before)
    add(name, "nelson_aalen_se", t, km$std.chaz[i], "survival::survfit $std.chaz", before)
    add(name, "at_risk", t, km$n.risk[i], "survival::survfit $n.risk", before)
  }
  for (p in c(0.25, 0.5)) add(name, "quantile", p, quantile(km, p)$quantile, "survival::quantile.survfit", before)
  reverse <- prodlim(Surv(time, event) ~ 1, d, reverse = TRUE)
  for (i in seq_along(reverse$time))
    add(name, "reverse_kaplan_meier", reverse$time[i], reverse$surv[i], "prodlim::prodlim(reverse = TRUE)", before)
  test <- survdiff(Surv(time, event) ~ cohort, d)
  add(name, "logrank", length(test$n) - 1, test$chisq, "survival::survdiff (rho = 0)", before)
  codes <- 2 * match(d$time, sort(unique(d$time))) + (1 - d$event)
  test <- survdiff(Surv(codes, 1 - d$event) ~ d$cohort)
  add(name, "censoring_logrank", length(test$n) - 1, test$chisq,
      "survival::survdiff on 2 rank(time) + (1 - event)", before)

  # --- discrimination -----------------------------------------------------------------------------
  markers <- c("linear_predictor", if (name == "hcc") c("tnm", "bclc"))
  for (m in markers) {
    d$risk <- d[[m]]
    add(name, "concordance_harrell", m, concordance(Surv(time, event) ~ risk, d, reverse = TRUE)$concordance,
        "survival::concordance(reverse = TRUE)", half)
    add(name, "concordance_uno", m,
        concordance(Surv(time, event) ~ risk, d, reverse = TRUE, timewt = "n/G2", ymax = horizon)$concordance,
        "survival::concordance(timewt = 'n/G2', ymax = horizon)", half)
  }

  # --- error ----------------------------------------------------------------------------------------
  score <- function(formula, risk) Score(list(model = risk), formula = formula, data = data.frame(d), times = times, cens.model = "km",
        metrics = c("auc", "brier"), summary = "ipa", null.model = TRUE, se.fit = FALSE, conf.int = FALSE, contrasts = FALSE)
  s <- score(Surv(time, event) ~ 1, 1 - S)
  where <- "riskRegression::Score(cens.model = 'km')"
  b <- as.data.frame(s$Brier$score); b <- b[b$model == "model", ]
  a <- as.data.frame(s$AUC$score); a <- a[a$model == "model", ]
  for (k in seq_along(times)) {
    add(name, "brier_score", times[k], b$Brier[b$times == times[k]], where, before)
    add(name, "index_of_prediction_accuracy", times[k], b$IPA[b$times == times[k]], where, before)
    add(name, "time_dependent_auc", times[k], a$AUC[a$times == times[k]], where, paste0(before, "; equal risks 1/2"))
  }
  # censoring within cohorts: pec's Kaplan-Meier weights per stratum; the AUC by hand from the same weights
  sorted <- d[order(d$time, -d$event), ]  # pec wants its rows in this order
  stratified <- pec(list(model = cbind(1, as.matrix(sorted[paste0("survival_", times)]))), Surv(time, event) ~ cohort,
                    data = sorted, times = c(0, times), start = NULL, exact = FALSE, cens.model = "nonpar",
                    reference = FALSE, verbose = FALSE)$AppErr$model[-1]
  G <- pec::ipcw(Surv(time, event) ~ cohort, data = sorted, method = "nonpar", times = times, subjectTimes = sorted$time,
                 what = c("IPCW.times", "IPCW.subjectTimes"))
  for (k in seq_along(times)) {
    add(name, "brier_score_strata", times[k], stratified[k], "pec::pec(Surv() ~ cohort, cens.model = 'nonpar')", before)
    case <- sorted$event == 1 & sorted$time <= times[k]; control <- sorted$time > times[k]
    pair <- outer(1 / G$IPCW.subjectTimes[case], 1 / G$IPCW.times[control, k])
    r <- 1 - sorted[[paste0("survival_", times[k])]]
    hit <- outer(r[case], r[control], ">") + outer(r[case], r[control], "==") / 2
    add(name, "time_dependent_auc_strata", times[k], sum(pair * hit) / sum(pair),
        "pec::ipcw(Surv() ~ cohort, method = 'nonpar'), sums by hand", paste0(before, "; equal risks 1/2"))
  }
  # Uno with the product of the two patients' censoring probabilities, G of each stratum from prodlim
  by_cohort <- lapply(split(d, d$cohort), function(x) prodlim(Surv(time, event) ~ 1, x, reverse = TRUE))
  g_before <- function(cohort, t) {  # left limit, 1 before the first time
    fit <- by_cohort[[cohort]]; k <- sum(fit$time < t); if (k == 0) 1 else fit$surv[k]
  }
  above <- total <- 0
  for (i in which(d$event == 1 & d$time <= horizon)) for (j in seq_len(nrow(d)))
    if (d$time[j] > d$time[i] || (d$time[j] == d$time[i] && d$event[j] == 0)) {
      w <- 1 / (g_before(d$cohort[i], d$time[i]) * g_before(d$cohort[j], d$time[i])); total <- total + w
      above <- above + w * ((d$linear_predictor[i] > d$linear_predictor[j]) + (d$linear_predictor[i] == d$linear_predictor[j]) / 2)
    }
  add(name, "concordance_uno_strata", "linear_predictor", above / total,
      "by hand, weights of prodlim::prodlim(reverse = TRUE) per cohort", half)
  error <- pec(list(model = cbind(1, S)), Surv(time, event) ~ 1, data = d, times = c(0, times), start = NULL, exact = FALSE,
               cens.model = "marginal", reference = FALSE, verbose = FALSE)
  bs <- error$AppErr$model[-1]
  for (k in seq_along(times)) add(name, "brier_score_pec", times[k], bs[k], "pec::pec(cens.model = 'marginal')", before)
  add(name, "integrated_brier", "trapezoid", sum(diff(times) * (head(bs, -1) + tail(bs, -1)) / 2) / diff(range(times)),
      "pec::pec AppErr, trapezoid by hand", before)

  # --- calibration ----------------------------------------------------------------------------------
  add(name, "calibration_slope", "linear_predictor", coef(coxph(Surv(time, event) ~ linear_predictor, d)),
      "survival::coxph(ties = 'efron')", "Efron")
  at <- summary(km, times = horizon)$surv
  p <- 1 - S[, 2]
  add(name, "calibration_in_the_large", horizon, (1 - at) - mean(p), "survival::survfit", before)
  cll <- log(-log(1 - p))
  basis <- rcspline.eval(cll, knots = quantile(cll, c(.1, .5, .9)), inclx = TRUE)
  d$b1 <- basis[, 1]; d$b2 <- basis[, 2]
  fit <- coxph(Surv(time, event) ~ b1 + b2, d)
  observed <- 1 - as.numeric(summary(survfit(fit, newdata = d), times = horizon)$surv)
  add(name, "ici", horizon, mean(abs(observed - p)), "survival::coxph on Hmisc::rcspline.eval(3 knots), survfit", "Efron")
  # no tied predictions at the cuts here: groups by quantile, type 7, right-closed
  group <- findInterval(p, unique(quantile(p, c(.25, .5, .75))), left.open = TRUE)
  for (g in sort(unique(group))) {
    fit <- survfit(Surv(time, event) ~ 1, d[group == g, ], conf.type = "log-log")
    s <- summary(fit, times = horizon)
    add(name, "group_observed", g + 1, 1 - s$surv, "survival::survfit", before)
    add(name, "group_lower", g + 1, 1 - s$upper, "survival::survfit(conf.type = 'log-log')", before)
    add(name, "group_upper", g + 1, 1 - s$lower, "survival::survfit(conf.type = 'log-log')", before)
  }

  # --- utility --------------------------------------------------------------------------------------
  g_left <- predictSurvIndividual(reverse, lag = 1)  # ordered as sorted data: by time, events first
  o <- order(d$time, -d$event)
  w <- numeric(nrow(d)); w[o] <- ifelse(d$event[o] == 1 & d$time[o] <= horizon, 1 / g_left, 0)
  w[d$time > horizon] <- 1 / predict(reverse, times = horizon, type = "surv")
  for (threshold in c(0.2, 0.4)) {
    treated <- p >= threshold
    nb <- sum(w * treated * (d$time <= horizon)) / nrow(d) - threshold / (1 - threshold) * sum(w * treated * (d$time > horizon)) / nrow(d)
    add(name, "net_benefit", threshold, nb, "by hand, weights of prodlim::prodlim(reverse = TRUE)", before)
    add(name, "treat_all", threshold, (1 - at) - threshold / (1 - threshold) * at, "survival::survfit", before)
  }
}

# --- small data only -------------------------------------------------------------------------------
aj <- survfit(Surv(time, factor(cause, 0:2, c("censored", "interest", "competing"))) ~ 1, tied)
for (i in seq_along(aj$time)) for (k in 1:2) {
  add("tied", paste0("aalen_johansen_", k), aj$time[i], aj$pstate[i, k + 1], "survival::survfit (factor status)", before)
  add("tied", paste0("aalen_johansen_se_", k), aj$time[i], aj$std.err[i, k + 1], "survival::survfit (infinitesimal jackknife)", before)
}
kw <- survfit(Surv(time, event) ~ 1, tied, weights = weight, robust = FALSE)
for (i in seq_along(kw$time)) add("tied", "kaplan_meier_weighted", kw$time[i], kw$surv[i], "survival::survfit(weights =)", before)
untied <- tied; untied$time <- untied$time + (seq_len(n) - 1) / 1000  # no ties: Efron with weights is plain weighting
add("untied", "calibration_slope_weighted", "linear_predictor",
    coef(coxph(Surv(time, event) ~ linear_predictor, untied, weights = weight)), "survival::coxph(weights =)", "no ties")

write.csv(golden, "golden.csv", row.names = FALSE)
session <- capture.output(sessionInfo())
writeLines(session[!grepl("^(BLAS|LAPACK):|^Matrix products", session)], "session_info.txt")  # no paths of this machine
