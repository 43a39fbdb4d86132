# JupyterLab with the notebooks: docker build -t poisonlib . && docker run --rm -p 127.0.0.1:8888:8888 poisonlib
# A command behind the name runs that: docker run --rm -v "$PWD/outputs:/home/reader/poisonlib/outputs" poisonlib poisonlib run all
FROM python:3.11-slim
RUN useradd --create-home reader
WORKDIR /home/reader/poisonlib
COPY --chown=reader pyproject.toml setup.py MANIFEST.in README.md LICENSE requirements.txt requirements-lock.txt ./
COPY --chown=reader poisonlib poisonlib
RUN pip install --no-cache-dir --constraint requirements-lock.txt --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.txt
COPY --chown=reader notebooks notebooks
COPY --chown=reader outputs/reference outputs/reference
RUN chown reader . outputs notebooks
USER reader
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "notebooks/00_tour.ipynb"]
