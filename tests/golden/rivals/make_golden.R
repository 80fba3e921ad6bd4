# Golden values of the Cox regressions, from R survival (coxph, ridge, basehaz), ties = "efron".
# Run here: Rscript make_golden.R
library(survival)  # brings the veteran data

emit <- function(problem, quantity, name, value)
  data.frame(problem = problem, quantity = quantity, name = name, value = value)
save_data <- function(frame, file) write.csv(format(frame, digits = 17, trim = TRUE), file, row.names = FALSE, quote = FALSE)

set.seed(20261122)
# 1. small and heavily tied: times rounded to whole months
n <- 60
tied <- data.frame(x1 = rnorm(n), x2 = rnorm(n), x3 = rnorm(n))
tied$time <- ceiling(6 * rexp(n) * exp(-0.6 * tied$x1 + 0.3 * tied$x2)) 
cens <- sample(1:12, n, replace = TRUE)
tied$event <- as.integer(tied$time <= cens)
tied$time <- pmin(tied$time, cens)
# 2. veteran: real, few ties
vet <- data.frame(karno = veteran$karno, age = veteran$age, diagtime = veteran$diagtime,
                  prior = veteran$prior / 10, time = veteran$time, event = veteran$status)
save_data(tied, "tied.csv"); save_data(vet, "veteran.csv")

results <- list()
add <- function(...) results[[length(results) + 1]] <<- emit(...)
times <- list(tied = c(0.5, 1, 2, 3, 5, 8), veteran = c(1, 8, 30, 100, 200, 500))
for (problem in c("tied", "veteran")) {
  d <- if (problem == "tied") tied else vet
  x <- setdiff(names(d), c("time", "event"))
  centred <- d
  centred[x] <- lapply(d[x], function(v) v - mean(v))
  control <- coxph.control(eps = 1e-13, iter.max = 100, toler.chol = 1e-14)
  plain <- coxph(as.formula(paste("Surv(time, event) ~", paste(x, collapse = "+"))), centred,
                 ties = "efron", control = control)
  add(problem, "plain_coef", x, coef(plain))
  add(problem, "plain_se", x, sqrt(diag(vcov(plain))))
  add(problem, "plain_loglik", "", plain$loglik[2])
  add(problem, "null_loglik", "", plain$loglik[1])
  at <- times[[problem]]
  base <- survfit(plain, newdata = as.data.frame(as.list(setNames(rep(0, length(x)), x))), se.fit = FALSE)
  add(problem, "plain_cumhaz", at, summary(base, times = at, extend = TRUE)$cumhaz)
  for (theta in c(0.5, 5, 50)) {
    # ridge(theta) subtracts theta/2 * sum(beta^2)
    form <- as.formula(paste0("Surv(time, event) ~ ridge(", paste(x, collapse = ","), ", theta = ", theta, ", scale = FALSE)"))
    fit <- coxph(form, centred, ties = "efron", control = control)
    add(problem, paste0("ridge_", theta, "_coef"), x, coef(fit))
    lp <- as.matrix(centred[x]) %*% coef(fit)
    given <- coxph(Surv(time, event) ~ offset(as.vector(lp)), centred, ties = "efron")
    add(problem, paste0("ridge_", theta, "_loglik"), "", given$loglik[1])
    bh <- basehaz(given, centered = FALSE)
    step <- stepfun(bh$time, c(0, bh$hazard))
    # basehaz(centered = FALSE) is at offset 0
    add(problem, paste0("ridge_", theta, "_cumhaz"), at, step(at))
  }
}
# 3. hazard ratios of a score with Wald intervals
score <- plogis(0.8 * tied$x1 - 0.4 * tied$x2 - 0.3)
one <- coxph(Surv(tied$time, tied$event) ~ score, ties = "efron", control = coxph.control(eps = 1e-13, iter.max = 100, toler.chol = 1e-14))
units <- c(sd = sd(score), iqr = unname(diff(quantile(score, c(.25, .75)))), `0.1` = 0.1)
add("tied", "score_unit", names(units), units)
add("tied", "score_hr", names(units), exp(coef(one) * units))
add("tied", "score_lower", names(units), exp((coef(one) - qnorm(.975) * sqrt(vcov(one)[1])) * units))
add("tied", "score_upper", names(units), exp((coef(one) + qnorm(.975) * sqrt(vcov(one)[1])) * units))
golden <- do.call(rbind, results)
golden$value <- sprintf("%.17g", golden$value)
write.csv(golden, "cox.csv", row.names = FALSE, quote = FALSE)
writeLines(capture.output(sessionInfo()), "session_info.txt")
