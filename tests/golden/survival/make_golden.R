# Golden values of the baselines: splines2::mSpline / iSpline, and survival::survreg at given
# parameters (dist = "weibull", no iteration; density on the time scale itself).
# Run here: Rscript make_golden.R
library(splines2)
library(survival)

knots <- c(0, 5, 12.5, 30)
times <- c(0, 0.5, 2, 5, 7.25, 12.5, 20, 29.9, 30)
inner <- knots[2:3]
m <- mSpline(times, knots = inner, degree = 3, intercept = TRUE, Boundary.knots = knots[c(1, 4)])
i <- iSpline(times, knots = inner, degree = 3, intercept = TRUE, Boundary.knots = knots[c(1, 4)])
values <- cbind(times, unclass(m)[, ], unclass(i)[, ])
colnames(values) <- c("time", paste0("m", 1:6), paste0("i", 1:6))
write.csv(format(values, digits = 17), "splines.csv", row.names = FALSE, quote = FALSE)

set.seed(20261122)
n <- 60
d <- data.frame(x1 = rnorm(n), x2 = rnorm(n))
d$time <- round(rexp(n, exp(-3 + 0.5 * d$x1)), 2) + 0.01
d$event <- rbinom(n, 1, 0.6)
write.csv(format(d, digits = 17), "weibull_data.csv", row.names = FALSE, quote = FALSE)

rows <- list()
for (case in 1:4) {
  scale <- c(0.6, 1, 1.4, 0.85)[case]
  b <- rbind(c(3, 0, 0), c(2.5, -0.4, 0.2), c(4, 0.3, 0.3), c(3.2, -0.7, -0.1))[case, ]
  fit <- suppressWarnings(survreg(Surv(time, event) ~ x1 + x2, d, dist = "weibull", scale = scale,
                                  init = b, control = survreg.control(maxiter = 0)))
  stopifnot(max(abs(fit$coefficients - b)) < 1e-12)
  rows[[case]] <- c(scale, b, fit$loglik[2])
}
out <- do.call(rbind, rows)
colnames(out) <- c("scale", "intercept", "x1", "x2", "log_likelihood")
write.csv(format(out, digits = 17), "weibull_loglik.csv", row.names = FALSE, quote = FALSE)
writeLines(capture.output(sessionInfo()), "session_info.txt")

# Delayed entry, and events found between two scans: log likelihoods at given parameters. Weibull by survreg (no iteration, the sum over patients), less that of survival until entry;
# piecewise constant by a person-time table of survSplit with the Poisson likelihood; M-splines by
# integrate() over the hazard.
set.seed(20261125)
n <- 40
d <- data.frame(x = rnorm(n))
d$time <- round(rexp(n, exp(-2.7 + 0.4 * d$x)), 1) + 0.5
d$event <- rbinom(n, 1, 0.7)
d$entry <- ifelse(seq_len(n) %% 3 == 0, round(d$time / 4, 1), 0)
found <- seq_len(n) %% 2 == 0 & d$event == 1
d$time_lower <- ifelse(found, pmax(round(d$time / 2, 1), d$entry), NA)
d$time_upper <- ifelse(found, d$time + 2, NA)
first <- ifelse(found, d$time_lower, d$time)
last <- ifelse(found, d$time_upper, d$time)

shape <- 1.3; b0 <- -3.4; b1 <- 0.6  # H(t) = exp(b0 + b1 x) t^shape
fixed <- function(outcome, x) {
  fit <- suppressWarnings(survreg(outcome ~ x, dist = "weibull", scale = 1 / shape,
                                  init = c(-b0, -b1) / shape,
                                  control = survreg.control(maxiter = 0)))
  stopifnot(max(abs(fit$coefficients - c(-b0, -b1) / shape)) < 1e-12)
  fit$loglik[2]
}
upper <- ifelse(found, d$time_upper, ifelse(d$event == 1, d$time, NA))
late <- d$entry > 0
weibull <- fixed(Surv(first, upper, type = "interval2"), d$x) -
  fixed(Surv(d$entry[late], rep(0, sum(late))), d$x[late])
write.csv(format(data.frame(log_likelihood = weibull), digits = 17), "outcomes_weibull.csv",
          row.names = FALSE, quote = FALSE)

knots <- c(0, 5, 12.5, 30)
weights <- c(0.5, 0.3, 0.2)
rates <- weights / diff(knots)
eta <- b0 + 2 + b1 * d$x
exposure <- function(from, to) {  # person-time in each interval; the last one goes on
  split <- survSplit(Surv(from, to, 1) ~ 1, data.frame(from = from, to = to), cut = knots[2:3],
                     start = "from", end = "to", episode = "piece")
  sapply(1:3, function(k) sum((split$to - split$from)[split$piece == k]))
}
risk <- function(i, from, to) if (to > from) exp(eta[i]) * sum(rates * exposure(from, to)) else 0
piecewise <- sapply(seq_len(n), function(i) {
  if (found[i]) {
    return(-risk(i, d$entry[i], first[i]) + log(1 - exp(-risk(i, first[i], last[i]))))
  }
  mu <- risk(i, d$entry[i], d$time[i])
  k <- findInterval(d$time[i], knots[2:3], left.open = TRUE) + 1
  # Poisson of one patient's table: exposure and rates, without the terms free of parameters
  d$event[i] * (eta[i] + log(rates[k])) - mu
})

w <- c(0.1, 0.15, 0.3, 0.2, 0.15, 0.1)
hazard <- function(t) {
  m <- mSpline(pmin(t, 30), knots = knots[2:3], degree = 3, intercept = TRUE,
               Boundary.knots = knots[c(1, 4)])
  as.vector(unclass(m)[, , drop = FALSE] %*% w)
}
total <- function(from, to) {
  cuts <- sort(unique(c(from, knots[knots > from & knots < to], to)))
  if (length(cuts) < 2) return(0)
  sum(sapply(seq_len(length(cuts) - 1), function(k)
    integrate(hazard, cuts[k], cuts[k + 1], rel.tol = 1e-12)$value))
}
mspline <- sapply(seq_len(n), function(i) {
  before <- exp(eta[i]) * total(d$entry[i], first[i])
  if (found[i]) return(-before + log(1 - exp(-exp(eta[i]) * total(first[i], last[i]))))
  d$event[i] * (eta[i] + log(hazard(d$time[i]))) - before
})
d <- cbind(d, piecewise, mspline)
write.csv(format(d, digits = 17), "outcomes.csv", row.names = FALSE, quote = FALSE)
writeLines(capture.output(sessionInfo()), "session_info.txt")
