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
